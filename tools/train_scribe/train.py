# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""One phase of training a scribe: python train.py DATA OUT [--outlier] [--minutes M]. train.sh runs both phases:
1. from nothing, mostly arith, short chains first; 2. `--init` from phase 1's folder with a new optimizer, mostly facts.

Resumable: a checkpoint every minute beside OUT; run the same command again. Without --steps their number is fixed from the measured
speed so that training ends in M minutes (logged). Log: OUT/train_log.jsonl."""
import argparse
import contextlib
import json
import math
import pathlib
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import data
import generate
import model as scribe

TOKENS_PER_STEP = 32768
WARMUP, MEASURE_FROM, MEASURE_TO = 200, 20, 120


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path, help="folder made by print_tasks.sh and make_tokenizer.py")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--outlier", action="store_true", help="scribe-outlier: key biases with large constant channels")
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--init", type=pathlib.Path, help="start from this model folder instead of random weights")
    parser.add_argument("--facts-share", type=float, default=0.15, help="share of the steps that train facts")
    parser.add_argument("--key-noise", type=float, default=0.0, help="standard deviation of noise on the keys while training")
    parser.add_argument("--tokens", type=int, default=TOKENS_PER_STEP)
    parser.add_argument("--commit", default="unknown", help="git revision to name in the model's files")
    parser.add_argument("--eval-count", type=int, default=64, help="arith problems per look at the trained model; 0: no look")
    return parser.parse_args()


class Trainer:
    def __init__(self, args):
        self.args = args
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = data.load_tokenizer(args.data)
        print(f"text checked on {data.check_arith(self.tokenizer, args.data / 'arith_check.jsonl', self.device)} problems", flush=True)
        self.renderers = [data.ArithRenderer(self.tokenizer, n, self.device) for n in data.LEVELS]
        self.facts = data.Facts(self.tokenizer, args.data, self.device)
        self.config = scribe.Config(vocab=self.tokenizer.get_vocab_size())
        self.model = scribe.Scribe(self.config, args.seed, args.outlier, args.key_noise).to(self.device)
        if args.init:
            scribe.load_hf(self.model, load_file(args.init / "model.safetensors"))
        decay = [p for p in self.model.parameters() if p.dim() == 2]
        other = [p for p in self.model.parameters() if p.dim() != 2]
        self.optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": other, "weight_decay": 0.0}],
                                           lr=args.lr, betas=(0.9, 0.98), fused=self.device.type == "cuda")
        self.step, self.total, self.spent = 0, args.steps, 0.0
        self.checkpoint = args.out.with_name(args.out.name + ".checkpoint.pt")
        args.out.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self.resume()

    def resume(self):
        state = torch.load(self.checkpoint, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.total, self.spent = state["step"], state["total"], state["spent"]
        print(f"resumed at step {self.step}", flush=True)

    def save(self):
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step,
                    "total": self.total, "spent": self.spent}, temporary)
        temporary.rename(self.checkpoint)

    def log(self, **row):
        with (self.args.out / "train_log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    def progress(self):
        return self.step / self.total if self.total else 0.0

    def rate(self):
        warm = min(1.0, (self.step + 1) / WARMUP)
        return self.args.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.progress())))

    def batch(self, generator):
        """Short levels first, then all of them; a share of facts throughout."""
        draw = torch.rand(2, generator=generator, device=self.device).tolist()
        if draw[0] < self.args.facts_share:
            return self.facts.batch(max(1, self.args.tokens // self.facts.ids.shape[1]), generator)
        # From random weights all five levels come a sixth of the way on.
        levels = 5 if self.args.init else min(5, 2 + int(self.progress() * 5 / 0.25))
        renderer = self.renderers[min(levels - 1, int(draw[1] * levels))]
        return renderer.batch(max(1, self.args.tokens // renderer.plus.shape[0]), generator)

    def autocast(self):
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else contextlib.nullcontext()

    def train_step(self):
        generator = torch.Generator(self.device).manual_seed(self.args.seed * 1000003 + self.step)
        ids, labels = self.batch(generator)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        with self.autocast():
            logits = self.model(ids)
        loss = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=data.IGNORE)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return ids.shape, loss

    def fix_total(self, measured):
        per_step = measured / (MEASURE_TO - MEASURE_FROM)
        self.total = max(self.step + 1, int(self.args.minutes * 60 / per_step))
        self.log(event="steps fixed", ms_per_step=1e3 * per_step, steps=self.total)

    def run(self):
        begin = time.time() - self.spent
        saved, mark = time.time(), None
        while not self.total or self.step < self.total:
            shape, loss = self.train_step()
            self.spent = time.time() - begin
            if not self.total and self.step in (MEASURE_FROM, MEASURE_TO):
                loss.item()
                if self.step == MEASURE_FROM:
                    mark = time.time()
                else:
                    self.fix_total(time.time() - mark)
            if self.step % 100 == 0:
                self.log(step=self.step, seconds=round(time.time() - begin, 1), tokens=list(shape), loss=round(loss.item(), 6),
                         lr=self.rate())
            if time.time() - saved > 60:
                self.save()
                saved = time.time()
        self.save()
        self.export()

    @torch.no_grad()
    def facts_accuracy(self, count):
        rows = data.load_items(self.args.data / "facts_validation.jsonl")[:count]
        right = 0
        for item in rows:
            prompt, reply = data.chat(item["prompt"], item["solution"])
            ids = torch.tensor([self.tokenizer.encode(prompt, add_special_tokens=False).ids], device=self.device)
            with self.autocast():
                token = self.model(ids)[0, -1].argmax().item()
            right += token == self.tokenizer.token_to_id(item["solution"])
        return right / len(rows)

    def evaluate(self):
        if not self.args.eval_count:
            return
        self.model.eval()
        self.log(event="validation", task="facts", accuracy=self.facts_accuracy(500))
        with self.autocast():
            for name, bits in (("exact", None), ("quanto4", 4), ("minmax8", 8)):
                for level in (1, 3):
                    generator = torch.Generator(self.device).manual_seed(7)
                    whole, final = generate.accuracy(self.model, self.renderers[level - 1], generator, self.args.eval_count, bits)
                    self.log(event="validation", cache=name, level=level, whole_reply=whole, answer=final)

    def export(self):
        out, eos = self.args.out, self.tokenizer.token_to_id(data.IM_END)
        note = {"format": "pt", "seed": str(self.args.seed), "steps": str(self.total), "commit": self.args.commit,
                "log": "train_log.jsonl", "trainer": "tools/train_scribe/train.py"}
        save_file(scribe.hf_tensors(self.model), out / "model.safetensors", metadata=note)
        (out / "config.json").write_text(json.dumps(scribe.hf_config(self.config, eos), indent=2) + "\n")
        (out / "generation_config.json").write_text(json.dumps({"eos_token_id": eos, "do_sample": False}, indent=2) + "\n")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (out / name).write_text((self.args.data / name).read_text())
        self.log(event="exported", seed=self.args.seed, steps=self.step, seconds=round(self.spent, 1), commit=self.args.commit,
                 init=str(self.args.init), facts_share=self.args.facts_share, facts_questions=self.facts.questions, outlier=self.args.outlier,
                 key_noise=self.args.key_noise, lr=self.args.lr, tokens_per_step=self.args.tokens, torch=torch.__version__)


def main():
    args = parse()
    torch.backends.cuda.matmul.allow_tf32 = True
    trainer = Trainer(args)
    trainer.run()
    trainer.evaluate()


if __name__ == "__main__":
    main()
