#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the PyTorch profiler traces of tests/data/traces: a few decode steps of a small random Qwen2
with transformers' caches, on a GPU if there is one.

  make_torch_traces.py OUT_DIR [--device cuda] [--only NAME,...]

Each trace is what torch.profiler writes; afterwards only folder names are shortened and the
profiler's own bookkeeping fields dropped. Needs torch, transformers, hqq, optimum-quanto."""
import argparse
import gzip
import json
import pathlib
import re
import tempfile
import traceback

import torch
from torch.profiler import ProfilerActivity, profile, schedule
from transformers import DynamicCache, QuantizedCache, Qwen2Config, Qwen2ForCausalLM, StaticCache

PROMPT, WARMUP, STEPS = 48, 4, 3


def small_model(device, attention):
    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=896, intermediate_size=4864, num_hidden_layers=2, num_attention_heads=14,
        num_key_value_heads=2, vocab_size=8192, max_position_embeddings=4096)
    config._attn_implementation = attention
    dtype = torch.float16 if device == "cuda" else torch.float32
    return Qwen2ForCausalLM(config).to(device=device, dtype=dtype).eval(), config


def make_cache(kind, config):
    if kind == "fp16":
        return DynamicCache(config=config)
    if kind == "static":
        return StaticCache(config=config, max_cache_len=128)
    backend, bits = {"int8-hqq": ("hqq", 8), "int4-quanto": ("quanto", 4)}[kind]
    # residual_length 4: one of the traced steps flushes.
    return QuantizedCache(backend, config, nbits=bits, q_group_size=64, residual_length=4)


def trace(out, kind, device, *, attention="sdpa", compiled=False, stack=False, shapes=False):
    model, config = small_model(device, attention)
    cache = make_cache(kind, config)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    step_fn = model
    if compiled:
        step_fn = torch.compile(model, mode="reduce-overhead", fullgraph=False)
    with torch.no_grad():
        ids = torch.arange(PROMPT, device=device).unsqueeze(0)
        token = model(ids, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)
        plan = schedule(wait=WARMUP, warmup=1, active=STEPS)
        with profile(activities=activities, schedule=plan, with_stack=stack, record_shapes=shapes) as prof:
            for i in range(WARMUP + 1 + STEPS):
                position = torch.tensor([[PROMPT + i]], device=device)
                logits = step_fn(token, position_ids=position, past_key_values=cache, use_cache=True).logits
                token = logits[:, -1:].argmax(-1).clone()
                if device == "cuda":
                    torch.cuda.synchronize()
                prof.step()
    write(prof, out)


def write(prof, out):
    with tempfile.TemporaryDirectory() as folder:
        raw = pathlib.Path(folder) / "trace.json"
        prof.export_chrome_trace(str(raw))
        data = json.loads(raw.read_text())
    for key in ("traceName", "displayTimeUnit", "baseTimeNanoseconds", "distributedInfo"):
        data.pop(key, None)
    text = json.dumps(data, separators=(",", ":"))
    # Folder names of the machine that ran this say nothing about the trace.
    text = re.sub(r'(?<=[" ])(?:/[\w.+-]+)+/(?=site-packages/|dist-packages/|lib/python)', "", text)
    text = re.sub(r'(?<=[" ])(?:/[\w.+-]+)+/(?=[\w.+-]+\.py)', "", text)
    out.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{out.name}: {out.stat().st_size / 1024:.0f} KiB, {len(data['traceEvents'])} events", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    device = args.device
    jobs = {
        "fp16": dict(kind="fp16", shapes=True),
        "fp16_eager_stack": dict(kind="fp16", attention="eager", stack=True),
        "int8_hqq": dict(kind="int8-hqq"),
        "int4_quanto": dict(kind="int4-quanto"),
        "int8_hqq_stack": dict(kind="int8-hqq", stack=True),
        "int4_quanto_stack": dict(kind="int4-quanto", stack=True),
        "static_compiled": dict(kind="static", compiled=True),
    }
    default = [name for name in jobs if "hqq_stack" not in name]
    wanted = args.only.split(",") if args.only else default
    for name in wanted:
        try:
            trace(args.out / f"torch_{device}_{name}.json.gz", device=device, **jobs[name])
        except Exception:  # one stack that fails must not cost the other traces
            traceback.print_exc()


if __name__ == "__main__":
    main()
