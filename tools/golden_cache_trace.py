#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Drives transformers' own QuantizedCache through a prompt and 300 updates and records what attention receives.

The inputs are not stored: both sides make them with core/rng.h's counter-based generator (see `inputs`).
One safetensors file; per case NAME:
  NAME.hashes   int64 [1 + updates, 2]       hash_bits of the keys and of the values that update() returned
  NAME.keys     16-bit patterns as int16     the keys of head 0, first 16 tokens, that the last update returned
and metadata NAME = {"spec", "dtype", "residual", "prompt", "updates", "kv_heads", "head_dim", "seed"} as JSON.
HQQ's solver runs in fp16, as the library does on CUDA, unless the spec says solver=fp32.

  tools/golden_cache_trace.py --out tests/data/cache/trace.safetensors
"""
import argparse
import json
import os
import pathlib

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import hqq.core.optimize
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.cache_utils import QuantizedCache

KV_HEADS, HEAD_DIM, UPDATES = 2, 64, 300
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def case(spec, backend, bits, axis, residual, dtype="fp16", prompt=37, solver="fp16"):
    return dict(spec=spec, backend=backend, bits=bits, axis=axis, residual=residual, dtype=dtype, prompt=prompt, solver=solver)


CASES = {}
for length in (32, 128, 1):
    CASES[f"quanto4-r{length}"] = case("int4-quanto", "quanto", 4, 0, length)
    CASES[f"hqq8-axis0-r{length}"] = case("int8-hqq", "hqq", 8, 0, length)
    CASES[f"hqq8-axis1-r{length}"] = case("int8-hqq:axis=1", "hqq", 8, 1, length)
# quanto's axis -1 needs 2 heads x tokens to be a multiple of 64 at the prompt and at every flush.
CASES["quanto4-axis-1-r32"] = case("int4-quanto:axis=-1", "quanto", 4, -1, 32, prompt=32)
CASES["quanto4-bf16-r32"] = case("int4-quanto", "quanto", 4, 0, 32, "bf16")
CASES["hqq4-fp32-solver-r64"] = case("int4-hqq:axis=1,solver=fp32", "hqq", 4, 1, 64, solver="fp32")


def mix64(x):
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_symmetric(seed, stream, count):
    """core/rng.h: uniform in [-1, 1) with 24 bits."""
    one = np.ones(1, np.uint64)
    base = mix64(np.uint64(seed) * one ^ mix64(np.uint64(stream) * one))
    bits = mix64(base + np.arange(count, dtype=np.uint64)) >> np.uint64(40)
    return (bits.astype(np.int32) - (1 << 23)).astype(np.float32) * np.float32(2.0**-23)


def inputs(seed, call, tensor, tokens, dtype):
    """[1, kv_head, tokens, dim]; channel 3 of every 16 is an outlier. tensor: 0 keys, 1 values."""
    x = random_symmetric(seed, 2 * call + tensor, KV_HEADS * tokens * HEAD_DIM).reshape(1, KV_HEADS, tokens, HEAD_DIM)
    x = x * np.where(np.arange(HEAD_DIM) % 16 == 3, np.float32(16), np.float32(2))
    return torch.from_numpy(np.ascontiguousarray(x)).to(dtype)


def hash_bits(x):
    bits = x.contiguous().view(torch.int16).numpy().ravel().view(np.uint16).astype(np.uint64)
    index = np.arange(bits.size, dtype=np.uint64)
    return int(mix64(index << np.uint64(16) ^ bits).sum(dtype=np.uint64).view(np.int64))


def drive(spec, seed):
    hqq.core.optimize.float32 = torch.float16 if spec["solver"] == "fp16" else torch.float32
    config = LlamaConfig(num_hidden_layers=1, hidden_size=KV_HEADS * HEAD_DIM, num_attention_heads=KV_HEADS)
    axis = spec["axis"]
    cache = QuantizedCache(spec["backend"], config, nbits=spec["bits"], axis_key=axis, axis_value=axis,
                           q_group_size=64, residual_length=spec["residual"])
    dtype, hashes = DTYPES[spec["dtype"]], []
    for call in range(1 + UPDATES):
        tokens = spec["prompt"] if call == 0 else 1
        key, value = (inputs(seed, call, tensor, tokens, dtype) for tensor in (0, 1))
        keys, values = cache.update(key, value, 0)
        hashes.append([hash_bits(keys), hash_bits(values)])
    return torch.tensor(hashes), keys[0].contiguous().view(torch.int16)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=11, help="inputs that nobody has seen: another seed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tensors, metadata = {}, {}
    for name, spec in CASES.items():
        hashes, keys = drive(spec, arguments.seed)
        tensors[name + ".hashes"] = hashes
        tensors[name + ".keys"] = keys[0, :16].contiguous()
        keep = {k: spec[k] for k in ("spec", "dtype", "residual", "prompt")}
        metadata[name] = json.dumps(dict(keep, updates=UPDATES, kv_heads=KV_HEADS, head_dim=HEAD_DIM, seed=arguments.seed))
        print(name, keys.shape, flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, arguments.out, metadata=metadata)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    np.seterr(over="ignore")
    main()
