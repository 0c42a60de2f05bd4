#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Decode speed on a CPU, f16 weights and f16 cache: kvtoll and llama.cpp in turn (A B A B ...) on the same cores.

Both run the same GGUF greedily from the same token ids, ignoring end-of-sequence; the ids are compared before any time
counts. llama.cpp is the one inside the Python package llama-cpp-python; --python names an interpreter that has it
(python3 -m venv V; V/bin/pip install --no-binary llama-cpp-python llama-cpp-python, built for this machine).

  bench/cpu_decode_vs_llama_cpp.py --python V/bin/python --make-f16 SmolLM2-135M-Instruct.Q4_1.gguf --model /tmp/f16.gguf
  bench/cpu_decode_vs_llama_cpp.py --python V/bin/python --model /tmp/f16.gguf --out results/cpu_decode_vs_llama_cpp.json

--realtime runs both under `chrt -f 1`: on a shared machine it keeps other work off the cores for the length of a run.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = [504, 2365, 6354, 16438, 27003, 690, 260, 23790]


def prompt_ids(count):
    """Eight words, then as many other ids as it takes."""
    return (WORDS + list(range(1000, 1000 + count)))[:count]


def make_f16(source, target):
    """Dequantizes every block format to f16 with llama.cpp's own quantizer (file type 1)."""
    import llama_cpp
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = 1, True, 1
    if llama_cpp.llama_model_quantize(source.encode(), target.encode(), params) != 0:
        sys.exit(f"cannot write {target}")


def llama_worker(model, prompt, tokens, threads):
    """Prints JSON: greedy ids and decode tokens per second (the first token comes from the prompt and is not timed)."""
    import ctypes
    import time

    import llama_cpp
    import numpy as np
    llama_cpp.llama_backend_init()
    loaded = llama_cpp.llama_model_load_from_file(model.encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.no_perf = len(prompt) + tokens, len(prompt), True
    params.n_threads, params.n_threads_batch = threads, threads
    context = llama_cpp.llama_init_from_model(loaded, params)
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(loaded))

    def step(ids):
        array = (ctypes.c_int32 * len(ids))(*ids)
        if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, len(ids))) != 0:
            sys.exit("llama_decode failed")
        logits = llama_cpp.llama_get_logits_ith(context, -1)
        return int(np.ctypeslib.as_array(logits, shape=(vocab,)).argmax())

    ids = [step(prompt)]
    begin = time.perf_counter()
    while len(ids) < tokens:
        ids.append(step([ids[-1]]))
    seconds = time.perf_counter() - begin
    print(json.dumps({"ids": ids, "tok_s": (tokens - 1) / seconds, "version": llama_cpp.__version__,
                      "system": llama_cpp.llama_print_system_info().decode()}))


def run(command, arguments):
    prefix = ["chrt", "-f", "1"] if arguments.realtime else []
    result = subprocess.run(prefix + command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {result.returncode}\n{result.stderr[-2000:]}")
    return result


def run_llama(arguments):
    command = [arguments.python, __file__, "--worker", "--model", arguments.model, "--prompt-tokens", str(arguments.prompt_tokens)]
    return json.loads(run(command + ["--tokens", str(arguments.tokens), "--threads", str(arguments.threads)], arguments).stdout)


def run_kvtoll(arguments):
    ids = ",".join(map(str, prompt_ids(arguments.prompt_tokens)))
    result = run([arguments.kvtoll, "generate", "--model", arguments.model, "--token-ids", ids, "--dtype", "fp16", "--backend",
                  "cpu", "--kv", "fp16", "--max-new-tokens", str(arguments.tokens), "--threads", str(arguments.threads)], arguments)
    speed = re.search(r"decode ([0-9.]+) tok/s, ([0-9.]+) GB/s", result.stderr)
    return {"ids": [int(i) for i in result.stdout.split()], "tok_s": float(speed[1]), "gb_s": float(speed[2])}


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def common_prefix(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def compare(arguments):
    runs = {"kvtoll": [], "llama.cpp": []}
    for round_ in range(arguments.rounds):
        ours, theirs = run_kvtoll(arguments), run_llama(arguments)
        same = common_prefix(ours["ids"], theirs["ids"])
        if same < min(16, arguments.tokens):
            sys.exit(f"the engines disagree from token {same} on: {ours['ids'][:20]} {theirs['ids'][:20]}")
        runs["kvtoll"].append(ours["tok_s"])
        runs["llama.cpp"].append(theirs["tok_s"])
        print(f"round {round_}: kvtoll {ours['tok_s']:.1f} tok/s ({ours['gb_s']:.1f} GB/s), llama.cpp {theirs['tok_s']:.1f} tok/s, "
              f"{same} of {arguments.tokens} ids equal", file=sys.stderr)
    ratios = [a / b for a, b in zip(runs["kvtoll"], runs["llama.cpp"])]
    revision = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "what": "decode tokens per second, batch 1, f16 weights, f16 cache, engines in turn on the same cores",
        "goal": "G13: kvtoll at least llama.cpp", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu_name(), "threads": arguments.threads, "realtime_priority": arguments.realtime,
        "load_average_1min": round(os.getloadavg()[0], 1), "model": pathlib.Path(arguments.model).name,
        "prompt_tokens": arguments.prompt_tokens, "new_tokens": arguments.tokens, "kvtoll_revision": revision,
        "llama_cpp_python": theirs["version"], "llama_cpp_system": theirs["system"], "ids_equal": same, "tok_s": runs,
        "median_tok_s": {name: round(statistics.median(values), 1) for name, values in runs.items()},
        "ratio_per_round": [round(r, 3) for r in ratios], "median_ratio": round(statistics.median(ratios), 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="an f16 GGUF")
    parser.add_argument("--make-f16", metavar="GGUF", help="write --model from this file, then stop")
    parser.add_argument("--kvtoll", default=str(ROOT / "build/release/kvtoll"))
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has llama-cpp-python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=len(WORDS))
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return llama_worker(arguments.model, prompt_ids(arguments.prompt_tokens), arguments.tokens, arguments.threads)
    if arguments.make_f16:
        return make_f16(arguments.make_f16, arguments.model)
    text = json.dumps(compare(arguments), indent=2) + "\n"
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
