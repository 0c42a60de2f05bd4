#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Compares kvtoll's logits with transformers', in fp32, on a checkpoint of yours or on random ones.

  tools/compare_checkpoint.py --model FOLDER_OR_GGUF [--token-ids 1,2,3] [--steps 64]
  tools/compare_checkpoint.py --random 20 --seed 7      # geometries, dtypes, biases, rope scalings by chance

Prints per model: equal greedy tokens before the first difference, and the largest difference over the
largest logit of its step up to there. Exit status 1 if a step exceeds 1e-3, or a token differs where
the reference's two best logits are further apart than that."""
import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

from make_checkpoints import LLAMA3, YARN, case, randomize, save
import numpy as np
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.utils import logging

BUDGET = 1e-3
ROOT = pathlib.Path(__file__).resolve().parent.parent


def load(path):
    where = dict(gguf_file=path.name) if path.suffix == ".gguf" else {}
    return AutoModelForCausalLM.from_pretrained(path.parent if where else path, dtype=torch.float32,
                                                attn_implementation="eager", **where).eval()


@torch.no_grad()
def reference(model, ids, steps):
    out = model(input_ids=torch.tensor([ids]), use_cache=True)
    rows, cache = [out.logits[0, -1]], out.past_key_values
    for _ in range(steps - 1):
        out = model(input_ids=rows[-1].argmax()[None, None], past_key_values=cache, use_cache=True)
        rows.append(out.logits[0, -1])
    return torch.stack(rows).numpy()


def ours(kvtoll, path, ids, steps):
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/logits.safetensors"
        done = subprocess.run([kvtoll, "generate", "--model", str(path), "--token-ids", ",".join(map(str, ids)),
                               "--max-new-tokens", str(steps), "--dtype", "fp32", "--backend", "cpu", "--logits", file],
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"kvtoll: exit {done.returncode}: {done.stderr}")
        return load_file(file)["logits"]


def compare(kvtoll, path, ids, steps):
    want, got = reference(load(path), ids, steps), ours(kvtoll, path, ids, steps)
    worst = 0.0
    for step in range(steps):
        scale = np.abs(want[step]).max()
        worst = max(worst, float(np.abs(got[step] - want[step]).max() / scale))
        if got[step].argmax() != want[step].argmax():  # from here on the contexts differ
            best = np.sort(want[step])
            tie = (best[-1] - best[-2]) / scale <= BUDGET
            return step, worst, worst <= BUDGET and tie
    return steps, worst, worst <= BUDGET


def random_spec(seed):
    r = random.Random(seed)
    cls = r.choice([LlamaConfig, Qwen2Config, Qwen3Config])
    kv_heads, head_dim = r.choice([1, 2, 3, 4]), r.choice([8, 10, 16, 24, 32, 40, 64, 80, 128])
    heads = kv_heads * r.choice([1, 2, 3, 5, 7])
    yarn = r.choice([{}, {"truncate": False}, {"mscale": 1.0, "mscale_all_dim": 0.6}, {"beta_fast": 16.0, "beta_slow": 2.0},
                     {"attention_factor": 1.3}])
    rope = r.choice([{"rope_type": "default", "rope_theta": r.choice([1e4, 1e6])},
                     dict(LLAMA3, factor=r.choice([2.0, 8.0, 32.0]), original_max_position_embeddings=r.choice([16, 64])),
                     dict(YARN, factor=r.choice([1.5, 4.0, 10.0]), original_max_position_embeddings=r.choice([32, 100]), **yarn)])
    more = {"head_dim": head_dim}
    if cls is not Qwen2Config:
        more["attention_bias"] = r.choice([True, False])
    if cls is LlamaConfig:
        more["mlp_bias"] = r.choice([True, False])
    config = cls(vocab_size=r.choice([50, 77, 128, 333]), hidden_size=heads * r.choice([4, 6, 8, 16]),
                 intermediate_size=r.choice([17, 48, 100, 129]), num_hidden_layers=r.choice([1, 2, 3, 5]),
                 num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=512,
                 rms_norm_eps=r.choice([1e-5, 1e-6]), tie_word_embeddings=r.choice([True, False]), rope_parameters=rope,
                 eos_token_id=r.choice([3, [3, 4], None]), bos_token_id=1, **more)
    return case(config, r.choice(["bfloat16", "float16", "float32"]), r.choice([None, "30KB"]), seed, r.choice([True, False]))


def write_random(seed, folder):
    spec = random_spec(seed)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(spec["config"])
    randomize(model, seed)
    save(model, folder, spec)
    c = spec["config"]
    return (f"{c.model_type} {spec['dtype']} {c.num_hidden_layers} layers, hidden {c.hidden_size}, {c.num_attention_heads}/"
            f"{c.num_key_value_heads} heads of {c.head_dim}, rope {c.rope_parameters['rope_type']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--token-ids", default="5,17,3,9,44,21,8,30,2,13")
    parser.add_argument("--steps", type=int, default=65)
    parser.add_argument("--kvtoll", default=str(ROOT / "build/release/kvtoll"))
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    ids = [int(i) for i in arguments.token_ids.split(",")]
    passed = True

    def report(what, path):
        nonlocal passed
        same, worst, good = compare(arguments.kvtoll, path, ids, arguments.steps)
        passed = passed and good
        print(f"{'ok ' if good else 'BAD'} {same}/{arguments.steps} tokens equal, error {worst:.1e}: {what}", flush=True)

    if arguments.model:
        report(str(arguments.model), arguments.model)
    for seed in range(arguments.seed, arguments.seed + arguments.random):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model"
            report(f"seed {seed}: {write_random(seed, path)}", path)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
