#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""The same work in Hugging Face transformers: greedy generation with an exact or a quantized KV cache, timed as kvtoll times it.

Formats are measured in turn (all warm-ups, then run 1 of each format, run 2 of each, ...), so that differences between formats are
paired and drift of the machine does not pose as one. The prompt is PROMPT_TOKENS ids drawn by seed (or --token-ids), the
end-of-sequence token is ignored, and decode time runs from the first new token to the last: tok/s = batch x (new - 1) / time.

  peers/hf_generate.py --model FOLDER_OR_HUB_ID --kv fp16,int8-hqq,int4-quanto --new-tokens 256,512 --results DIR
  peers/hf_generate.py --model FILE.gguf ...             (dequantized by transformers)
  peers/hf_generate.py --model random:CONFIG_FOLDER ...  (that config.json's geometry, random weights)

Writes one JSON per configuration into DIR/peers, with the field names of kvtoll's records (schema "kvtoll.peer/1"), and prints a table.
Needs: pip install torch transformers optimum-quanto hqq; for GGUF also gguf."""
import argparse
import pathlib
import platform
import random
import re
import sys
import time

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList

from peer_record import record, write

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def cache_arguments(kv, residual, dtype):
    """generate()'s arguments for a format by kvtoll's name. A fresh dictionary each time: generate() takes entries out of it."""
    if kv == dtype:
        return {}
    if kv in DTYPES:
        sys.exit(f"hf_generate: {kv}: the exact cache has the model's dtype; pass --dtype {kv}")
    match = re.fullmatch(r"int([1-8])-(quanto|hqq)((?::|,)[a-z0-9=,-]+)?", kv)
    if not match:
        sys.exit(f"hf_generate: {kv}: transformers has fp16, bf16, fp32, int4-quanto, int2-quanto and int8-, int4-, int3-, int2-, "
                 "int1-hqq, with :group= and axis=")
    options = dict(o.split("=") for o in (match[3] or "")[1:].split(",") if o)
    axis = int(options.get("axis", 0))
    return {"cache_implementation": "quantized",
            "cache_config": {"backend": match[2], "nbits": int(match[1]), "axis_key": axis, "axis_value": axis,
                             "q_group_size": int(options.get("group", 64)),
                             "residual_length": int(options.get("residual", residual))}}


class Clock(StoppingCriteria):
    """Notes the time behind each new token and never stops."""

    def __init__(self, device):
        self.device, self.times = device, []

    def __call__(self, ids, scores, **_):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.times.append(time.perf_counter_ns())
        return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)


def load(args, device):
    dtype = DTYPES[args.dtype]
    options = {"attn_implementation": args.attention}
    if args.model.startswith("random:"):
        torch.manual_seed(args.seed)
        config = AutoConfig.from_pretrained(args.model.split(":", 1)[1])
        torch.set_default_dtype(dtype)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, **options)
        torch.set_default_dtype(torch.float32)
        return model.eval()
    if args.model.endswith(".gguf"):
        path = pathlib.Path(args.model)
        options["gguf_file"] = path.name
        return AutoModelForCausalLM.from_pretrained(path.parent, dtype=dtype, **options).to(device).eval()
    return AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype, **options).to(device).eval()


def generate(model, prompt, new_tokens, cache):
    """Times in ns: (prefill and first token, each following token), and the new ids of the first sequence."""
    device, clock = prompt.device, Clock(prompt.device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter_ns()
    with torch.inference_mode():
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, num_beams=1, max_new_tokens=new_tokens,
                             min_new_tokens=new_tokens, pad_token_id=0, stopping_criteria=StoppingCriteriaList([clock]),
                             **cache)
    times = [start] + clock.times
    return [b - a for a, b in zip(times, times[1:])], out[0, prompt.shape[1]:].tolist()


def measure(args, model, prompt, device, name, new_tokens):
    formats = re.split(r",(?=int|fp|bf)", args.kv)
    runs, tokens, peak = {kv: [] for kv in formats}, {}, {}
    for number in range(args.warmups + args.runs):
        for kv in formats:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            times, ids = generate(model, prompt, new_tokens, cache_arguments(kv, args.residual, args.dtype))
            if device.type == "cuda":
                peak[kv] = torch.cuda.max_memory_allocated(device)
            if number >= args.warmups:
                runs[kv].append(times)
                tokens[kv] = ids
    for kv in formats:
        config = {"model": name, "kv": kv, "new_tokens": new_tokens, "residual": args.residual, "batch": args.batch,
                  "prompt_tokens": args.prompt_tokens, "attention": args.attention, "launch": "eager", "dtype": args.dtype,
                  "seed": args.seed}
        environment = {"device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
                       "torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads()}
        write(args.results, record("transformers", config, environment, args.warmups, runs[kv], tokens[kv], peak.get(kv)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--kv", default="fp16,int8-hqq,int4-quanto")
    parser.add_argument("--new-tokens", default="256")
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--token-ids", help="the prompt itself, with commas; the same for every sequence of the batch")
    parser.add_argument("--residual", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--warmups", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dtype", default="fp16", choices=DTYPES)
    parser.add_argument("--attention", default="sdpa", help="transformers' attn_implementation: eager, sdpa, flash_attention_2")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", default="kvtoll-results")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    model = load(args, device)
    draw = random.Random(args.seed)
    ids = [int(i) for i in args.token_ids.split(",")] if args.token_ids else [
        draw.randrange(10, min(model.config.vocab_size, 50000)) for _ in range(args.prompt_tokens)]
    args.prompt_tokens = len(ids)
    prompt = torch.tensor([ids] * args.batch, device=device)
    name = pathlib.Path(args.model.split(":", 1)[-1].rstrip("/")).stem
    for new_tokens in (int(n) for n in args.new_tokens.split(",")):
        measure(args, model, prompt, device, name, new_tokens)


if __name__ == "__main__":
    main()
