# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this folder share: statistics as kvtoll computes them, and a JSON per configuration with the field names of
kvtoll's records (schema "kvtoll.peer/1")."""
import json
import math
import os
import pathlib
import statistics
import sys
import urllib.parse

T975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}  # Student's t, 97.5 %


def summary(samples):
    """Mean, standard deviation and its 95 % interval."""
    mean = statistics.fmean(samples)
    sd = statistics.stdev(samples) if len(samples) > 1 else 0.0
    half = T975.get(len(samples) - 1, 1.96) * sd / math.sqrt(len(samples)) if len(samples) > 1 else 0.0
    return {"mean": mean, "sd": sd, "ci95": [mean - half, mean + half], "samples": samples}


def line_fit(x, y):
    """Step time = intercept + slope x cached tokens, by least squares."""
    mx, my = statistics.fmean(x), statistics.fmean(y)
    sxx = sum((a - mx) ** 2 for a in x)
    slope = sum((a - mx) * (b - my) for a, b in zip(x, y)) / sxx if sxx else 0.0
    return {"intercept_ns": my - slope * mx, "slope_ns_per_token": slope}


def record(peer, config, environment, warmups, runs, tokens, peak_bytes=None):
    """runs: per run the times in ns of the prefill with the first token and of each step behind it."""
    new_tokens, batch = config["new_tokens"], config["batch"]
    steps = [statistics.median(r[i] for r in runs) for i in range(1, new_tokens)]
    context = [config["prompt_tokens"] + i for i in range(1, new_tokens)]
    decode = [batch * (new_tokens - 1) / (sum(r[1:]) * 1e-9) for r in runs]
    return {"schema": "kvtoll.peer/1", "status": "ok", "peer": peer, "config": config,
            "environment": {**environment, "argv": sys.argv},
            "protocol": {"warmups": warmups, "runs": len(runs), "order": "interleaved"},
            "runs": [{"prefill_ns": r[0], "decode_ns": sum(r[1:])} for r in runs],
            "throughput": {"decode_tok_s": summary(decode), "prefill_ns": statistics.median(r[0] for r in runs)},
            "step_latency": {"p50_ns": statistics.median(steps), "max_ns": max(steps), "fit": line_fit(context, steps)},
            "memory": {"peak_bytes": peak_bytes}, "tokens": tokens}


def write(results, content):
    """Writes the record below RESULTS/peers, whole or not at all, and prints its line of the table."""
    config = content["config"]
    folder = pathlib.Path(results) / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    model, kv = (urllib.parse.quote(config[k], safe="=,-_.") for k in ("model", "kv"))
    batch = f".b{config['batch']}" if config["batch"] != 1 else ""
    path = folder / (f"{model}.{kv}.n{config['new_tokens']}.r{config['residual']}{batch}.p{config['prompt_tokens']}."
                     f"{content['peer']}-{config['attention']}.json")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, path)
    speed, fit = content["throughput"]["decode_tok_s"], content["step_latency"]["fit"]
    print(f"{config['kv']:16} n{config['new_tokens']:<6} {speed['mean']:9.2f} +- {speed['sd']:.2f} tok/s   step "
          f"{fit['intercept_ns'] * 1e-6:.2f} ms + {fit['slope_ns_per_token']:.0f} ns/token   {path}", flush=True)
