# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Greedy batched generation with a KV cache whose stored part may be quantized: a quick look inside the trainer at what kvtoll
measures properly. `quanto4` follows Hugging Face's int4 quanto cache (groups of 64 channels of one token, prompt quantized at
once, 128 tokens kept exact); `minmax8` is 8-bit min/max over the same groups, a stand-in for HQQ."""
import torch
import torch.nn.functional as F

GROUP, RESIDUAL = 64, 128


def quantize(x, bits):
    groups = x.float().unflatten(-1, (-1, GROUP))
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    step = ((high - low) / (2 ** bits - 1)).clamp_min(1e-8)
    return (((groups - low) / step).round() * step + low).flatten(-2).to(x.dtype)


@torch.no_grad()
def generate(model, prompts, new_tokens, bits=None):
    """prompts [B, T] of one length -> ids [B, new_tokens]."""
    c, (b, t) = model.c, prompts.shape
    cos, sin = model.tables(torch.arange(t + new_tokens, device=prompts.device))
    dtype = torch.bfloat16 if prompts.is_cuda else torch.float32
    cache = torch.zeros(c.layers, 2, b, c.kv_heads, t + new_tokens, c.head_dim, device=prompts.device, dtype=dtype)
    out = torch.empty(b, new_tokens, dtype=torch.long, device=prompts.device)
    ids, begin, stored = prompts, 0, t
    for step in range(new_tokens):
        end = begin + ids.shape[1]
        x = model.embedding(ids)
        for i, block in enumerate(model.blocks):
            q, k, v = block.project(x, cos[begin:end], sin[begin:end])
            cache[i, 0, :, :, begin:end], cache[i, 1, :, :, begin:end] = k, v
            a = F.scaled_dot_product_attention(q, cache[i, 0, :, :, :end].to(q.dtype), cache[i, 1, :, :, :end].to(q.dtype),
                                               is_causal=begin == 0, enable_gqa=True)
            x = block.finish(x, a)
        if bits and begin == 0:
            cache[..., :t, :] = quantize(cache[..., :t, :], bits)
        elif bits and end - stored >= RESIDUAL:
            cache[..., stored:end, :] = quantize(cache[..., stored:end, :], bits)
            stored = end
        ids = model.logits(x[:, -1:]).argmax(-1)
        out[:, step], begin = ids[:, 0], end
    return out


def accuracy(model, renderer, generator, count, bits):
    """Share of `count` fresh problems whose whole reply is right, and whose final answer is."""
    ids, _ = renderer.batch(count, generator, training=False)
    p = renderer.prompt_length
    out = generate(model, ids[:, :p], ids.shape[1] - p, bits)
    right = out == ids[:, p:]
    return right.all(1).float().mean().item(), right[:, -4:-1].all(1).float().mean().item()
