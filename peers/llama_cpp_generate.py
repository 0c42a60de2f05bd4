#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""The same work in llama.cpp: greedy generation with each of its KV-cache types, timed as kvtoll times it.

Formats are measured in turn, as in hf_generate.py; the prompt is the same ids by the same seed. A format is TYPE or KEYTYPE/VALUETYPE
of f32 (fp32), f16 (fp16), bf16, q8_0, q5_1, q5_0, q4_1, q4_0; a quantized value type needs --flash-attention on.

  peers/llama_cpp_generate.py --model FILE.gguf --kv fp16,q8_0,q4_0,q8_0/q4_0 --new-tokens 256 --results DIR

Writes one JSON per configuration into DIR/peers (peer_record.py) and prints a table. A fused pass over a quantized cache has no
residual window, so `residual` is 0 in the records.
Needs: pip install llama-cpp-python (built for this machine: --no-binary llama-cpp-python, for a GPU CMAKE_ARGS=-DGGML_CUDA=on)."""
import argparse
import ctypes
import os
import pathlib
import platform
import random
import sys
import time

import llama_cpp
import numpy as np

from peer_record import record, write

TYPES = {"fp32": "F32", "fp16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q5_1": "Q5_1", "q5_0": "Q5_0", "q4_1": "Q4_1", "q4_0": "Q4_0"}
NUMBERS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "BF16": 30}  # ggml's type numbers
FLASH = {"auto": -1, "off": 0, "on": 1}


def types_of(kv):
    parts = kv.split("/")
    if len(parts) > 2 or any(p not in TYPES for p in parts):
        sys.exit(f"llama_cpp_generate: {kv}: give TYPE or KEYTYPE/VALUETYPE of {', '.join(TYPES)}")
    return NUMBERS[TYPES[parts[0]]], NUMBERS[TYPES[parts[-1]]]


def open_context(model, kv, args):
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch = args.prompt_tokens + args.longest, max(args.prompt_tokens, 32)
    params.n_threads = params.n_threads_batch = args.threads
    params.type_k, params.type_v = types_of(kv)
    params.flash_attn_type = FLASH[args.flash_attention]
    params.no_perf = True
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        sys.exit(f"llama_cpp_generate: llama.cpp refuses a {kv} cache with --flash-attention {args.flash_attention}")
    return context


def generate(context, vocab, prompt, new_tokens):
    """Times in ns: prefill and first token, then each following token; and the ids. The end of sequence is ignored."""
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    ids, times, step = [], [time.perf_counter_ns()], list(prompt)
    while len(ids) < new_tokens:
        array = (ctypes.c_int32 * len(step))(*step)
        if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, len(step))) != 0:
            sys.exit("llama_cpp_generate: llama_decode failed")
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), shape=(vocab,))
        step = [int(logits.argmax())]
        ids += step
        times.append(time.perf_counter_ns())
    return [b - a for a, b in zip(times, times[1:])], ids


def measure(args, contexts, vocab, prompt, new_tokens):
    runs, tokens = {kv: [] for kv in contexts}, {}
    for number in range(args.warmups + args.runs):
        for kv, context in contexts.items():
            times, ids = generate(context, vocab, prompt, new_tokens)
            if number >= args.warmups:
                runs[kv].append(times)
                tokens[kv] = ids
    for kv in contexts:
        config = {"model": pathlib.Path(args.model).stem, "kv": kv, "new_tokens": new_tokens, "residual": 0, "batch": 1,
                  "prompt_tokens": args.prompt_tokens, "attention": f"flash-{args.flash_attention}", "launch": "eager", "seed": args.seed}
        environment = {"device": "cuda" if args.gpu_layers else platform.processor() or "cpu", "threads": args.threads,
                       "llama_cpp_python": llama_cpp.__version__, "system": llama_cpp.llama_print_system_info().decode()}
        write(args.results, record("llama.cpp", config, environment, args.warmups, runs[kv], tokens[kv]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a .gguf file")
    parser.add_argument("--kv", default="fp16,q8_0,q4_0")
    parser.add_argument("--new-tokens", default="256")
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--token-ids", help="the prompt itself, with commas")
    parser.add_argument("--flash-attention", default="on", choices=FLASH)
    parser.add_argument("--gpu-layers", type=int, default=0, help="layers on the GPU; 999: all")
    parser.add_argument("--warmups", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", default="kvtoll-results")
    args = parser.parse_args()
    lengths = [int(n) for n in args.new_tokens.split(",")]
    log = llama_cpp.llama_log_callback(lambda level, text, _: None)
    llama_cpp.llama_log_set(log, None)
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = args.gpu_layers
    model = llama_cpp.llama_model_load_from_file(args.model.encode(), params)
    if not model:
        sys.exit(f"llama_cpp_generate: {args.model}: llama.cpp cannot load it")
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    draw = random.Random(args.seed)
    prompt = [int(i) for i in args.token_ids.split(",")] if args.token_ids else [
        draw.randrange(10, min(vocab, 50000)) for _ in range(args.prompt_tokens)]
    args.prompt_tokens, args.longest = len(prompt), max(lengths)
    contexts = {kv: open_context(model, kv, args) for kv in args.kv.split(",")}
    for new_tokens in lengths:
        measure(args, contexts, vocab, prompt, new_tokens)


if __name__ == "__main__":
    main()
