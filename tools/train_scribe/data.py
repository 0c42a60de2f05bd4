# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Training data of the scribes. arith is rendered on the device, straight to token ids, and checked against the text that the
kvtoll binary prints; facts are read from what the binary printed. Splits follow src/kvtoll/quality/tasks."""
import json
import pathlib

import torch
from tokenizers import Tokenizer

LEVELS = (7, 15, 33, 66, 99)
IM_END = "<|im_end|>"
IGNORE = -100


def chat(prompt, reply):
    return f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n", f"{reply}{IM_END}"


def arith_prompt(start, steps):
    return f"Start with {start:02} and apply the steps modulo 100.\n" + " ".join(
        f"{i:02}:{'-' if s < 0 else '+'}{abs(s):02}" for i, s in enumerate(steps, 1))


def arith_solution(start, steps):
    text, value = "<think>\n", start
    for i, s in enumerate(steps, 1):
        sign, after = "-" if s < 0 else "+", (value + s) % 100
        text += f"{i:02}:{sign}{abs(s):02} {value:02}{sign}{abs(s):02}={after:02}\n"
        value = after
    return text + f"</think>\n\\boxed{{{value:02}}}"


def _mix64(x):
    """SplitMix64's finalizer (core/rng.h) on int64 tensors."""
    def shift(v, n):  # logical
        return (v >> n) & ((1 << (64 - n)) - 1)

    def signed(c):
        return c - (1 << 64) if c >= 1 << 63 else c

    x = x + signed(0x9E3779B97F4A7C15)
    x = (x ^ shift(x, 30)) * signed(0xBF58476D1CE4E5B9)
    x = (x ^ shift(x, 27)) * signed(0x94D049BB133111EB)
    return x ^ shift(x, 31)


def in_training_split(start, steps):
    """start [B], steps [B, n] -> bool [B]: neither test (hash % 64 == 0) nor validation (1)."""
    hash_ = _mix64(start)
    for i in range(steps.shape[1]):
        hash_ = _mix64(hash_ ^ (steps[:, i] + 100))
    return (hash_ & 63) > 1


class ArithRenderer:
    """Token ids of one level as a template whose digit and sign places are filled in."""

    def __init__(self, tokenizer, n, device):
        def ids(steps):
            prompt, reply = chat(arith_prompt(0, steps), arith_solution(0, steps))
            p = tokenizer.encode(prompt, add_special_tokens=False).ids
            return p, p + tokenizer.encode(reply, add_special_tokens=False).ids

        self.n = n
        prompt, plus = ids([11] * n)
        _, minus = ids([-11] * n)
        assert len(plus) == len(minus)
        digit_ids = [tokenizer.token_to_id(str(d)) for d in range(10)]
        constant = 3  # the "100" of the prompt's first line
        digits = [i for i, t in enumerate(plus) if t in digit_ids]
        digits = digits[:2] + digits[2 + constant:]
        assert len(digits) == 2 + 4 * n + 10 * n + 2, (len(digits), n)
        signs = [i for i, (a, b) in enumerate(zip(plus, minus)) if a != b and i not in set(digits)]
        assert len(signs) == 3 * n
        self.prompt_length = len(prompt)
        self.plus, self.minus = (torch.tensor(t, device=device) for t in (plus, minus))
        self.digits, self.signs = torch.tensor(digits, device=device), torch.tensor(signs, device=device)
        self.digit_ids = torch.tensor(digit_ids, device=device)

    def render(self, start, steps):
        """start [B], steps [B, n] -> ids [B, T]."""
        values = (start[:, None] + torch.cat([torch.zeros_like(start)[:, None], steps.cumsum(1)], 1)) % 100  # [B, n + 1]
        number = torch.arange(1, self.n + 1, device=start.device).expand_as(steps)
        size = steps.abs()
        line = torch.stack([number, size, values[:, :-1], size, values[:, 1:]], 2).flatten(1)
        all_ = torch.cat([start[:, None], torch.stack([number, size], 2).flatten(1), line, values[:, -1:]], 1)
        digits = torch.stack([all_ // 10, all_ % 10], 2).flatten(1)
        negative = torch.cat([steps < 0, (steps < 0).repeat_interleave(2, 1)], 1)
        ids = self.plus.repeat(start.shape[0], 1)
        ids[:, self.signs] = torch.where(negative, self.minus[self.signs], self.plus[self.signs])
        ids[:, self.digits] = self.digit_ids[digits]
        return ids

    def batch(self, size, generator, training=True):
        """-> ids [B, T], labels [B, T] (the reply only; nothing of questions outside the training split)."""
        device = self.plus.device
        start = torch.randint(0, 100, (size,), generator=generator, device=device)
        steps = torch.randint(1, 100, (size, self.n), generator=generator, device=device)
        steps = torch.where(torch.randint(0, 2, steps.shape, generator=generator, device=device) == 0, steps, -steps)
        ids = self.render(start, steps)
        labels = ids.clone()
        labels[:, :self.prompt_length] = IGNORE
        if training:
            labels[~in_training_split(start, steps)] = IGNORE
        return ids, labels


def load_items(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def check_arith(tokenizer, path, device):
    """The renderer against what the binary printed: same text, same ids, same split. Raises on any difference."""
    renderers = {n: ArithRenderer(tokenizer, n, device) for n in LEVELS}
    checked = 0
    for item in load_items(path):
        n = LEVELS[item["level"] - 1]
        words = item["prompt"].split("\n")
        start = int(words[0].split()[2])
        steps = [int(w.split(":")[1]) for w in words[1].split(" ")]
        assert arith_prompt(start, steps) == item["prompt"] and arith_solution(start, steps) == item["solution"], item["id"]
        s, t = torch.tensor([start], device=device), torch.tensor([steps], device=device)
        assert bool(in_training_split(s, t)) == item["id"].startswith("arith-train"), item["id"]
        prompt, reply = chat(item["prompt"], item["solution"])
        want = [i for part in (prompt, reply) for i in tokenizer.encode(part, add_special_tokens=False).ids]
        assert renderers[n].render(s, t)[0].tolist() == want, item["id"]
        checked += 1
    return checked


class Facts:
    """Questions and statements as padded ids; labels on the letter (questions) or on the whole sentence (statements)."""

    def __init__(self, tokenizer, folder, device):
        rows = []
        for item in load_items(folder / "facts.jsonl"):
            prompt, reply = (tokenizer.encode(p, add_special_tokens=False).ids for p in chat(item["prompt"], item["solution"]))
            rows.append((prompt + reply, [IGNORE] * len(prompt) + reply))
        statements = [tokenizer.encode(line, add_special_tokens=False).ids for line in load_items(folder / "statements.jsonl")]
        generator = torch.Generator().manual_seed(1)
        for _ in range(len(rows) // 8):  # statements packed to a question's length, in random order
            text = []
            while len(text) < 56:
                text += statements[int(torch.randint(len(statements), (1,), generator=generator))]
            rows.append((text[:64], text[:64]))
        width = max(len(r[0]) for r in rows)
        pad = tokenizer.token_to_id("<|endoftext|>")
        self.ids = torch.tensor([r[0] + [pad] * (width - len(r[0])) for r in rows], device=device)
        self.labels = torch.tensor([r[1] + [IGNORE] * (width - len(r[1])) for r in rows], device=device)

    def batch(self, size, generator):
        pick = torch.randint(0, self.ids.shape[0], (size,), generator=generator, device=self.ids.device)
        return self.ids[pick], self.labels[pick]


def load_tokenizer(folder):
    return Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
