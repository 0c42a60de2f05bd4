#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Small random GGUF files made with the gguf package, and what transformers computes with the weights
that they decode to: NAME.gguf and NAME.golden.safetensors as in make_checkpoints.py, with
  column.TENSOR  fp32 [rows]  the first column of each decoded matrix, rows in Hugging Face's order

  tools/make_gguf_checkpoints.py --out tests/data/checkpoints
"""
import argparse
import fnmatch
import pathlib

from make_checkpoints import LLAMA3, YARN, golden, margins, randomize, small
import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, quants
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

Q = GGMLQuantizationType


def gguf_small(cls, **more):
    """Rows of 256, so that the K-blocks fit."""
    return small(cls, **dict(dict(hidden_size=256, head_dim=32, num_attention_heads=4, num_key_value_heads=1,
                                  intermediate_size=32), **more))


# GGUF type of each kind of tensor; o and down have short rows, which only 32-blocks and floats fit.
GGUF_CASES = {
    "gguf-llama-k": (gguf_small(LlamaConfig, rope_parameters=dict(LLAMA3)), 20,
                     {"embed_tokens": Q.Q6_K, "lm_head": Q.Q4_K, "q_proj": Q.Q5_K, "k_proj": Q.Q4_K, "v_proj": Q.Q6_K,
                      "o_proj": Q.Q4_0, "gate_proj": Q.Q4_K, "up_proj": Q.Q5_K, "down_proj": Q.Q4_1}),
    "gguf-qwen2-32": (small(Qwen2Config, hidden_size=64, intermediate_size=64, tie_word_embeddings=True,
                            rope_parameters=dict(YARN)), 21,
                      {"embed_tokens": Q.Q8_0, "q_proj": Q.Q4_0, "k_proj": Q.Q4_1, "v_proj": Q.Q8_0, "o_proj": Q.BF16,
                       "gate_proj": Q.F16, "up_proj": Q.F32, "down_proj": Q.Q8_0}),
    "gguf-qwen3-f16": (small(Qwen3Config, head_dim=16), 22, {}),
}


def random_blocks(qtype, shape, generator):
    """Random codes with scales that give values of about the size randomize() gives; for types that the package
    can decode but not encode."""
    block, size = GGML_QUANT_SIZES[qtype]
    n = int(np.prod(shape)) // block
    raw = generator.integers(0, 256, (n, size), dtype=np.uint8)
    def half(x):
        return np.asarray(x, np.float16).reshape(-1, 1).view(np.uint8)
    spread = 1.5 / shape[-1] ** 0.5
    if qtype == Q.Q6_K:  # scales are signed bytes, codes -32..31
        raw[:, -2:] = half(spread / (73 * 18) * generator.uniform(0.8, 1.2, n))
    else:  # scale 0..63, code 0..15 or 0..31, and a minimum that centres them
        top = 15 if qtype == Q.Q4_K else 31
        d = spread / (31 * top / 3.5) * generator.uniform(0.8, 1.2, n)
        raw[:, 0:2], raw[:, 2:4] = half(d), half(d * top / 2)
    return raw.reshape(*shape[:-1], shape[-1] // block * size)


def permute(array, heads):
    """Hugging Face's half-split rows of q and k to the interleaved rows of GGUF's Llama."""
    rest = array.shape[1:]
    return array.reshape(heads, 2, -1, *rest).swapaxes(1, 2).reshape(array.shape)


def gguf_name(name):
    parts = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
             "model.embed_tokens": "token_embd", "model.norm": "output_norm", "model.layers": "blk"}
    for old, new in parts.items():
        name = name.replace(old, new)
    return name.replace("lm_head", "output")


def write_gguf_head(writer, config):
    arch = config.model_type
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "yarn":
        writer.add_string(f"{arch}.rope.scaling.type", "yarn")
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_bos_token_id(config.bos_token_id)


def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def llama3_divisors(model, config):
    """What the converter stores as rope_freqs.weight: unscaled frequency over scaled one."""
    dim = head_dim(config)
    plain = 1.0 / (config.rope_parameters["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float) / dim))
    return (plain / model.model.rotary_emb.inv_freq.float()).numpy()


def gguf_tensor(writer, name, parameter, config, types, generator):
    """Writes one tensor and returns the values that its stored form decodes to, in Hugging Face's order."""
    qtype = Q.F32
    if parameter.dim() == 2:
        qtype = next((t for part, t in types.items() if part in name), Q.F16)
    array = parameter.detach().float().numpy()
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    heads = next((n for part, n in heads.items() if part in name and config.model_type == "llama"), None)
    ordered = permute(array, heads) if heads else array
    if qtype in (Q.Q4_K, Q.Q5_K, Q.Q6_K):
        stored = random_blocks(qtype, ordered.shape, generator)
    else:
        stored = quants.quantize(ordered, qtype)
    writer.add_tensor(gguf_name(name), stored, raw_dtype=qtype)
    values = quants.dequantize(stored, qtype).astype(np.float32).reshape(ordered.shape)
    if heads:  # the inverse permutation
        order = permute(np.arange(values.shape[0]), heads)
        values = values[np.argsort(order)]
    return torch.from_numpy(values.copy())


def make_gguf(name, config, seed, types, out):
    for attempt in range(50):
        torch.manual_seed(seed + 100 * attempt)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
        randomize(model, seed + 100 * attempt)
        generator = np.random.default_rng(seed + 100 * attempt)
        writer = GGUFWriter(out / f"{name}.gguf", config.model_type)
        write_gguf_head(writer, config)
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                parameter.copy_(gguf_tensor(writer, parameter_name, parameter, config, types, generator))
        if config.rope_parameters["rope_type"] == "llama3":
            writer.add_tensor("rope_freqs.weight", llama3_divisors(model, config))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        tensors = golden(model)
        tensors |= {"column." + n: p.detach()[:, 0].clone() for n, p in model.named_parameters() if p.dim() == 2}
        if margins(tensors) > 2e-3:
            break
    save_file(tensors, out / f"{name}.golden.safetensors", metadata={"case": name})
    print(f"{name}: {(out / (name + '.gguf')).stat().st_size / 1024:.0f} KiB, margin {margins(tensors):.1e}, attempt "
          f"{attempt}, {len(set(tensors['tokens'].tolist()))} distinct tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--only", default="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, (config, seed, types) in GGUF_CASES.items():
        if fnmatch.fnmatch(name, arguments.only):
            make_gguf(name, config, seed, types, arguments.out)


if __name__ == "__main__":
    main()
