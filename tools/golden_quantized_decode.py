#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Logits of small checkpoints that transformers decodes with its own QuantizedCache, in fp32 on a CPU.

The tokens are those of the checkpoint's own golden file (tools/make_checkpoints.py), fed one by one, so that an early
difference does not change what follows. One file; per case NAME:
  NAME.logits  fp32 [1 + steps, vocab]   after the prompt and after each token
and metadata NAME = {"checkpoint", "spec", "residual", "steps"} as JSON.

  tools/golden_quantized_decode.py --out tests/data/engine/quantized_decode.safetensors
"""
import argparse
import json
import os
import pathlib

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.cache_utils import QuantizedCache

STEPS = 40


def case(checkpoint, spec, backend, bits, axis, group, residual):
    return dict(checkpoint=checkpoint, spec=spec, backend=backend, bits=bits, axis=axis, group=group, residual=residual)


CASES = {
    "quanto4": case("qwen3-bias-yarn", "int4-quanto:group=16", "quanto", 4, 0, 16, 5),
    "quanto2": case("qwen2-untied-fp16-sharded", "int2-quanto:group=16", "quanto", 2, 0, 16, 1),
    "hqq8-axis1": case("qwen3-head-dim", "int8-hqq:axis=1,group=8,solver=fp32", "hqq", 8, 1, 8, 7),
    "hqq4-axis0": case("llama3-rope", "int4-hqq:group=8,solver=fp32", "hqq", 4, 0, 8, 6),
}


@torch.no_grad()
def decode(folder, spec):
    golden = load_file(folder / f"{spec['checkpoint']}.golden.safetensors")
    model = AutoModelForCausalLM.from_pretrained(folder / spec["checkpoint"], dtype=torch.float32, attn_implementation="eager")
    cache = QuantizedCache(spec["backend"], model.config, nbits=spec["bits"], axis_key=spec["axis"], axis_value=spec["axis"],
                           q_group_size=spec["group"], residual_length=spec["residual"])
    rows = [model(input_ids=golden["prompt"][None], past_key_values=cache, use_cache=True).logits[0, -1]]
    for token in golden["tokens"][:STEPS]:
        rows.append(model(input_ids=token.reshape(1, 1), past_key_values=cache, use_cache=True).logits[0, -1])
    return torch.stack(rows), golden


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--checkpoints", type=pathlib.Path, default=pathlib.Path("tests/data/checkpoints"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tensors, metadata = {}, {}
    for name, spec in CASES.items():
        logits, golden = decode(arguments.checkpoints, spec)
        tensors[name + ".logits"] = logits
        metadata[name] = json.dumps({k: spec[k] for k in ("checkpoint", "spec", "residual")} | {"steps": STEPS})
        exact = torch.cat([golden["prefill"][-1:], golden["decode"][:STEPS]])
        print(f"{name}: differs from the exact cache by {float((logits - exact).abs().max() / exact.abs().max()):.2e}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, arguments.out, metadata=metadata)


if __name__ == "__main__":
    main()
