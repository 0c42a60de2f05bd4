# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Qwen2 in plain PyTorch, small: what the scribes are. Shapes: x [B, T, hidden]; q [B, heads, T, 128]; k, v [B, kv, T, 128]."""
import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Config:
    vocab: int = 512
    hidden: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 128
    ffn: int = 640
    theta: float = 1e6
    eps: float = 1e-6


# scribe-outlier's key biases by layer: what one RoPE pair of each kv head holds, the extremes of Qwen2-7B's post-RoPE keys (its first
# layer -161 to 167, second -39 to 46, last -411 to 234). One member of the pair lies in each half of the head, so every group of 64
# channels has one; pairs are among the slowest, so positions do not turn them.
OUTLIERS = {0: (-161.0, 167.0), 1: (-39.0, 46.0), -1: (-411.0, 234.0)}
SLOW_PAIRS = 14


def rope(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(torch.bfloat16 if x.is_cuda else x.dtype)


def swiglu(gate_up):
    gate, up = gate_up.chunk(2, -1)
    return F.silu(gate) * up


class Block(nn.Module):
    def __init__(self, c, key_noise):
        super().__init__()
        self.c, self.key_noise = c, key_noise
        self.attn_norm = nn.Parameter(torch.ones(c.hidden))
        self.ffn_norm = nn.Parameter(torch.ones(c.hidden))
        self.qkv = nn.Linear(c.hidden, (c.heads + 2 * c.kv_heads) * c.head_dim)
        self.o = nn.Linear(c.heads * c.head_dim, c.hidden, bias=False)
        self.gate_up = nn.Linear(c.hidden, 2 * c.ffn, bias=False)
        self.down = nn.Linear(c.ffn, c.hidden, bias=False)

    def project(self, x, cos, sin):
        c, (b, t, _) = self.c, x.shape
        qkv = self.qkv(F.rms_norm(x, (c.hidden,), self.attn_norm, c.eps)).view(b, t, -1, c.head_dim).transpose(1, 2)
        q, k, v = qkv.split([c.heads, c.kv_heads, c.kv_heads], 1)
        return rope(q, cos, sin), rope(k, cos, sin), v

    def finish(self, x, attention):
        b, t = x.shape[:2]
        x = x + self.o(attention.transpose(1, 2).reshape(b, t, -1))
        return x + self.down(swiglu(self.gate_up(F.rms_norm(x, (self.c.hidden,), self.ffn_norm, self.c.eps))))

    def forward(self, x, cos, sin):
        q, k, v = self.project(x, cos, sin)
        if self.training and self.key_noise:
            k = k + self.key_noise * torch.randn_like(k)
        return self.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))


class Scribe(nn.Module):
    def __init__(self, c, seed, outlier, key_noise=0.0):
        super().__init__()
        self.c = c
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(c.vocab, c.hidden)
        self.blocks = nn.ModuleList(Block(c, key_noise) for _ in range(c.layers))
        self.final_norm = nn.Parameter(torch.ones(c.hidden))
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.04 / (math.sqrt(2 * c.layers) if name.endswith(("o.weight", "down.weight")) else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(p)
        if outlier:
            self.place_outliers(torch.Generator().manual_seed(seed + 1))

    def place_outliers(self, generator):
        c, half = self.c, self.c.head_dim // 2
        for layer, extremes in OUTLIERS.items():
            keys = self.blocks[layer].qkv.bias.data[c.heads * c.head_dim:(c.heads + c.kv_heads) * c.head_dim].view(c.kv_heads, -1)
            for head, extreme in zip(keys, extremes, strict=True):
                pair = half - 1 - torch.randint(SLOW_PAIRS, (), generator=generator)
                head[pair] = extreme
                head[half + pair] = extreme * (1 - 0.45 * torch.rand((), generator=generator))

    def tables(self, positions):
        c = self.c
        inv = c.theta ** (-torch.arange(0, c.head_dim, 2, device=positions.device, dtype=torch.float32) / c.head_dim)
        angle = positions[:, None].float() * inv
        return angle.cos(), angle.sin()

    def logits(self, x):
        return F.linear(F.rms_norm(x, (self.c.hidden,), self.final_norm, self.c.eps), self.embedding.weight)

    def forward(self, ids):
        cos, sin = self.tables(torch.arange(ids.shape[1], device=ids.device))
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.logits(x)


def hf_tensors(model):
    """The same weights under Hugging Face's Qwen2 names, fp16."""
    c, out = model.c, {}
    widths = [c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim]
    for i, b in enumerate(model.blocks):
        p = f"model.layers.{i}."
        for name, w, bias in zip("qkv", b.qkv.weight.split(widths), b.qkv.bias.split(widths)):
            out[p + f"self_attn.{name}_proj.weight"], out[p + f"self_attn.{name}_proj.bias"] = w, bias
        out[p + "self_attn.o_proj.weight"] = b.o.weight
        out[p + "mlp.gate_proj.weight"], out[p + "mlp.up_proj.weight"] = b.gate_up.weight.chunk(2)
        out[p + "mlp.down_proj.weight"] = b.down.weight
        out[p + "input_layernorm.weight"], out[p + "post_attention_layernorm.weight"] = b.attn_norm, b.ffn_norm
    out["model.embed_tokens.weight"], out["model.norm.weight"] = model.embedding.weight, model.final_norm
    return {k: v.detach().half().contiguous().cpu() for k, v in out.items()}


def load_hf(model, tensors):
    """The reverse of hf_tensors."""
    state = {"embedding.weight": tensors["model.embed_tokens.weight"], "final_norm": tensors["model.norm.weight"]}
    for i in range(model.c.layers):
        p, b = f"model.layers.{i}.", f"blocks.{i}."
        for kind in ("weight", "bias"):
            state[b + f"qkv.{kind}"] = torch.cat([tensors[p + f"self_attn.{n}_proj.{kind}"] for n in "qkv"])
        state[b + "o.weight"] = tensors[p + "self_attn.o_proj.weight"]
        state[b + "gate_up.weight"] = torch.cat([tensors[p + f"mlp.{n}_proj.weight"] for n in ("gate", "up")])
        state[b + "down.weight"] = tensors[p + "mlp.down_proj.weight"]
        state[b + "attn_norm"], state[b + "ffn_norm"] = tensors[p + "input_layernorm.weight"], tensors[p + "post_attention_layernorm.weight"]
    model.load_state_dict({k: v.float() for k, v in state.items()})


def hf_config(c, eos):
    return {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": c.hidden, "num_hidden_layers": c.layers,
            "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim,
            "intermediate_size": c.ffn, "vocab_size": c.vocab, "max_position_embeddings": 4096, "rms_norm_eps": c.eps,
            "rope_theta": c.theta, "hidden_act": "silu", "tie_word_embeddings": True, "torch_dtype": "float16",
            "use_sliding_window": False, "bos_token_id": None, "eos_token_id": eos}
