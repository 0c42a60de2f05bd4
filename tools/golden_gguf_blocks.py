#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Random blocks of GGUF's tensor types and what the gguf package decodes them to:
TYPE.blocks uint8 [n, bytes], TYPE.values fp32 [n, block].

  tools/golden_gguf_blocks.py --out tests/data/gguf_blocks.safetensors --seed 5
"""
import argparse
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants
from safetensors.numpy import save_file

Q = GGMLQuantizationType
TYPES = (Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q4_K, Q.Q5_K, Q.Q6_K)
SCALES = {Q.Q8_0: [0], Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}  # offsets of fp16


def wide(generator, n):
    """Numbers over nine orders of magnitude, subnormal halves among them."""
    return (generator.standard_normal(n) * 10.0 ** generator.integers(-6, 4, n)).astype(np.float32)


def random_blocks(qtype, n, generator):
    block, size = GGML_QUANT_SIZES[qtype]
    if block == 1:
        return quants.quantize(wide(generator, n), qtype)
    raw = generator.integers(0, 256, (n, size), dtype=np.uint8)
    for at in SCALES[qtype]:
        raw[:, at:at + 2] = wide(generator, n).astype(np.float16).reshape(-1, 1).view(np.uint8)
    return raw


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    generator = np.random.default_rng(arguments.seed)
    tensors = {}
    for qtype in TYPES:
        block, size = GGML_QUANT_SIZES[qtype]
        n = 12 if block > 1 else 256
        stored = random_blocks(qtype, n, generator)
        tensors[f"{qtype.name}.blocks"] = stored.view(np.uint8).reshape(n, size).copy()
        tensors[f"{qtype.name}.values"] = quants.dequantize(stored, qtype).astype(np.float32).reshape(n, block).copy()
    save_file(tensors, arguments.out)
    arguments.out.chmod(0o644)


if __name__ == "__main__":
    main()
