#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""How long an accuracy study of a 7B model takes: 100 questions of MATH at 2,048 new tokens and 200 of MMLU, three formats.

Random weights: the answers are noise that never ends before its limit, the time is real. MATH, MMLU and a vocabulary of 152k
tokens are yours to bring (docs/evaluating.md).

  bench/accuracy_time.py --math test.jsonl --mmlu DIR --tokenizer TOKENIZER --out results/accuracy_time_7b_h100.json
  bench/accuracy_time.py --from MATH.jsonl MMLU.jsonl --out FILE     # from the output of `kvtoll eval ... --json` kept before
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

FORMATS = "fp16,int4-quanto,int8-hqq"
PLACES = ("data", "model_source", "tokenizer")  # where they lay is nobody's business


def evaluate(arguments, task, data, options):
    with tempfile.TemporaryDirectory() as scratch:
        command = [arguments.kvtoll, "eval", task, "--data", data, "--model", "m=synthetic:qwen2.5-7b", "--tokenizer",
                   arguments.tokenizer, "--backend", "cuda", "--kv", FORMATS, "--results", scratch, "--json", "--quiet", *options]
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout, time.monotonic() - start


def part(line):
    record = json.loads(line)
    if record["status"] != "ok":
        sys.exit(f"{record['config']['kv']}: {record['status']}: {record.get('reason')}")
    config = {k: pathlib.Path(v).name if k in PLACES else v for k, v in record["config"].items()}
    seconds = record["elapsed_ns"] * 1e-9
    return {"config": config, "environment": {k: v for k, v in record["environment"].items() if k != "argv"},
            "tokens": record["tokens"], "elapsed_s": seconds,
            "new_tok_s": record["tokens"]["new"] / seconds, "prompt_tok_s": record["tokens"]["prompt"] / seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kvtoll", default="build/release/kvtoll")
    parser.add_argument("--math")
    parser.add_argument("--mmlu")
    parser.add_argument("--tokenizer")
    parser.add_argument("--from", dest="saved", nargs=2)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    result = {"what": "time of accuracy runs: MATH-100 at 2,048 new tokens and MMLU-200 by letter, three formats, random 7B weights",
              "goal_s": 300, "command": "bench/accuracy_time.py" + (" --from" if arguments.saved else "")}
    if arguments.saved:
        texts = [pathlib.Path(f).read_text() for f in arguments.saved]
    else:
        if not (arguments.math and arguments.mmlu and arguments.tokenizer):
            parser.error("--math, --mmlu and --tokenizer, or --from")
        math, math_wall = evaluate(arguments, "math", arguments.math, ["--limit", "100", "--batch", "100"])
        mmlu, mmlu_wall = evaluate(arguments, "mmlu", arguments.mmlu, ["--limit", "200"])
        texts = [math, mmlu]
        result["wall_s"] = math_wall + mmlu_wall  # weights made and loaded included
    result["evaluations"] = [part(line) for text in texts for line in text.splitlines()]
    result["elapsed_s"] = sum(e["elapsed_s"] for e in result["evaluations"])
    pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")
    for e in result["evaluations"]:
        print(f"{e['config']['task']:5} {e['config']['kv']:12} {e['elapsed_s']:6.1f} s  {e['new_tok_s']:8.0f} new tok/s")
    print(f"together {result['elapsed_s']:.1f} s of {result['goal_s']}")


if __name__ == "__main__":
    main()
