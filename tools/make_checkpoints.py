#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Small random checkpoints and what the reference implementation computes with them.

Each case is a folder as transformers saves it, and beside it NAME.golden.safetensors:
  prompt      int64 [P]         prompt ids
  prefill     fp32  [P, vocab]  logits of every prompt token
  tokens      int64 [N]         N greedy tokens; tokens[0] follows the prompt
  decode      fp32  [N, vocab]  logits after each of them; argmax(decode[i]) == tokens[i + 1]
  inv_freq    fp32  [head_dim/2], attention_scaling fp32 [1]: the rotary table
computed in fp32 from the stored weights.
tools/make_gguf_checkpoints.py does the same for GGUF files.

  tools/make_checkpoints.py --out tests/data/checkpoints          # the committed ones
  tools/make_checkpoints.py --out /some/folder --only 'qwen3*'    # any, to re-check
"""
import argparse
import fnmatch
import os
import pathlib
import shutil

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.utils import logging

PROMPT, NEW = 24, 64

LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}


def case(config, dtype="bfloat16", shard=None, seed=0, old_rope=False):
    return dict(config=config, dtype=dtype, shard=shard, seed=seed, old_rope=old_rope)


def small(cls, **more):
    base = dict(vocab_size=64, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-6, eos_token_id=63, bos_token_id=1)
    base.update(more)
    return cls(**base)


CASES = {
    "qwen2-bf16": case(small(Qwen2Config, tie_word_embeddings=True, rms_norm_eps=1e-5)),
    "qwen2-untied-fp16-sharded": case(small(Qwen2Config, hidden_size=64, num_key_value_heads=1), "float16", "48KB", 1),
    "qwen2-yarn": case(small(Qwen2Config, head_dim=16, rope_parameters=dict(YARN)), seed=2),
    "qwen3-head-dim": case(small(Qwen3Config, head_dim=24, num_key_value_heads=4), seed=3),
    "qwen3-bias-yarn": case(small(Qwen3Config, head_dim=16, attention_bias=True, tie_word_embeddings=True,
                                  num_attention_heads=6, num_key_value_heads=3,
                                  rope_parameters=dict(YARN, beta_fast=8.0, beta_slow=2.0, truncate=False,
                                                       attention_factor=1.2)), seed=14),
    "llama3-rope": case(small(LlamaConfig, rope_parameters=dict(LLAMA3), hidden_size=48, eos_token_id=[62, 63]), seed=5),
    "llama-bias-fp32-oldrope": case(small(LlamaConfig, attention_bias=True, mlp_bias=True, head_dim=20,
                                          tie_word_embeddings=True,
                                          rope_parameters=dict(LLAMA3, factor=32.0)), "float32", seed=6, old_rope=True),
}


def randomize(model, seed):
    """Norms away from one, biases away from zero, weights wide enough that attention is not flat."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if name.endswith("norm.weight"):
                p.copy_(1 + 0.2 * noise)
            elif p.dim() == 1:
                p.copy_(0.3 * noise)
            else:
                p.copy_(noise * 1.5 / p.shape[1] ** 0.5)


def save(model, folder, spec):
    model = model.to(getattr(torch, spec["dtype"]))
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **({"max_shard_size": spec["shard"]} if spec["shard"] else {}))
    if spec["old_rope"]:
        write_old_rope(folder / "config.json")
    for extra in folder.glob("*.md"):
        extra.unlink()


def write_old_rope(path):
    """The spelling of transformers 4: rope_theta and rope_scaling instead of rope_parameters."""
    import json
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    path.write_text(json.dumps(config, indent=2) + "\n")


@torch.no_grad()
def golden(model):
    """Prefill in one pass, then one token at a time with the library's own cache."""
    model = model.float().eval()
    vocab = model.config.vocab_size
    prompt = torch.randint(0, vocab, (PROMPT,), generator=torch.Generator().manual_seed(7))
    out = model(input_ids=prompt[None], use_cache=True)
    prefill, cache = out.logits[0], out.past_key_values
    tokens, decode = [int(prefill[-1].argmax())], []
    for step in range(NEW):
        out = model(input_ids=torch.tensor([[tokens[-1]]]), past_key_values=cache, use_cache=True)
        decode.append(out.logits[0, -1])
        if step + 1 < NEW:
            tokens.append(int(decode[-1].argmax()))
    rotary = model.model.rotary_emb
    return {"prompt": prompt, "prefill": prefill.contiguous(), "tokens": torch.tensor(tokens),
            "decode": torch.stack(decode), "inv_freq": rotary.inv_freq.float().contiguous(),
            "attention_scaling": torch.tensor([float(rotary.attention_scaling)])}


def margins(tensors):
    """Smallest gap between the two largest logits, relative to the largest: greedy must not be a coin flip."""
    rows = torch.cat([tensors["prefill"][-1:], tensors["decode"]])
    top = rows.topk(2).values
    return float(((top[:, 0] - top[:, 1]) / rows.abs().max()).min())


def make_huggingface(name, spec, out):
    torch.manual_seed(spec["seed"])
    model = AutoModelForCausalLM.from_config(spec["config"], attn_implementation="eager")
    for attempt in range(50):
        randomize(model, spec["seed"] + 100 * attempt)
        save(model, out / name, spec)
        reloaded = AutoModelForCausalLM.from_pretrained(out / name, dtype=torch.float32, attn_implementation="eager")
        tensors = golden(reloaded)
        if margins(tensors) > 2e-3:
            break
    save_file(tensors, out / f"{name}.golden.safetensors", metadata={"case": name})
    size = sum(f.stat().st_size for f in (out / name).iterdir())
    print(f"{name}: {size / 1024:.0f} KiB, margin {margins(tensors):.1e}, attempt {attempt}, "
          f"{len(set(tensors['tokens'].tolist()))} distinct tokens")


def rope_tables(out):
    """Rotary tables of real geometries: NAME fp32 [head_dim/2], NAME.scale fp32 [1]; metadata NAME is config.json."""
    llama31 = dict(LLAMA3, original_max_position_embeddings=8192)
    qwen = dict(YARN, rope_theta=1e6, original_max_position_embeddings=32768)
    big = dict(hidden_size=256, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=1, intermediate_size=8,
               max_position_embeddings=131072)
    configs = {
        "default": small(Qwen2Config, **big, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
        "default-64": small(LlamaConfig, **big, head_dim=64, rope_parameters={"rope_type": "default", "rope_theta": 1e4}),
        "llama-3.1": small(LlamaConfig, **big, rope_parameters=llama31),
        "llama-3.2": small(LlamaConfig, **big, head_dim=64, rope_parameters=dict(llama31, factor=32.0)),
        "yarn": small(Qwen2Config, **big, rope_parameters=qwen),
        "yarn-mscale": small(Qwen3Config, **big, rope_parameters=dict(qwen, mscale=0.7, mscale_all_dim=1.3, factor=40.0)),
        "yarn-no-truncate": small(Qwen3Config, **big, head_dim=96, rope_parameters=dict(qwen, truncate=False, beta_fast=20)),
        "yarn-attention": small(LlamaConfig, **big, rope_parameters=dict(qwen, attention_factor=0.75)),
    }
    tensors, metadata = {}, {}
    for name, config in configs.items():
        rotary = AutoModelForCausalLM.from_config(config).model.rotary_emb
        tensors[name] = rotary.inv_freq.float().contiguous()
        tensors[name + ".scale"] = torch.tensor([float(rotary.attention_scaling)])
        metadata[name] = config.to_json_string(use_diff=False)
    save_file(tensors, out / "rope.golden.safetensors", metadata=metadata)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--only", default="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, spec in CASES.items():
        if fnmatch.fnmatch(name, arguments.only):
            make_huggingface(name, spec, arguments.out)
    if fnmatch.fnmatch("rope", arguments.only):
        rope_tables(arguments.out)


if __name__ == "__main__":
    main()
