#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Golden file of the tokenizer tests: what Hugging Face's `tokenizers` makes of some thousand generated strings.

Writes into tests/data/tokenizer:
  golden.json           the generator (groups of fragments, seed), and per tokenizer a 32-bit hash of the ids of each string;
                        for the first of them also the lengths of each splitter's pieces, and the NFC form, as hashes
  NAME/tokenizer.json   small tokenizers trained here, one for each splitter and oddity (--train makes them anew)
The tests make the same strings from the same fragments. Larger vocabularies are not committed; their hashes are, when given:
  --gguf deepseek-r1-distill-qwen-7b=FILE.gguf --gguf smollm2=FILE.gguf   (only metadata is read)

Needs: pip install tokenizers gguf."""
import argparse
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, __version__, decoders, models, normalizers, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "tokenizer"
SEED, COUNT, PIECES = 20241124, 5120, 2048
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")

# A fragment is a text, or [first, last]: one code point of that range. A string is a chain of fragments; each is drawn by
# drawing its group first, so that every kind of text is as likely as any other.
GROUPS = [
    ["the", " the", " cache", "Hello", " world", "quantization", " of", " keys", "KV", " GPU", "Energy", " tokens per second",
     " It was the best of times, it was the worst of times", "iPhone", "CamelCaseName", "snake_case_name", "THE END"],
    ["'s", "'S", "'t", "'re", "'VE", "'m", "'ll", "'lL", "'d", "'", "''", "don't", "I'M", "we'Re", "'\u017f", "'\u212a", " 'd",
     "\u2019s", "it's", "'l", "'r", "'v", "'les"],
    [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t", " \n", "\n ", "\u00a0", "\u3000", "\u2003", "\u0085", "\u2028",
     "\x0b\x0c", "        ", "\r", "\u200b", "\ufeff"],
    ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\t", "}\n\n", "#include <vector>\n", "x->y[0]", "!=", "&&",
     "/* c */", "https://example.org/a?b=c&d=%20e", "{\"k\": [1, 2.5e-3, null]}", "\\frac{1}{2}", "$\\boxed{42}$", "```python\n",
     "SELECT * FROM t WHERE a='b';", "0x1F", "a_b-c.d", "//", "<div class=\"x\">"],
    ["0", "1", "42", "2024", "3.14159", "1,000,000", "-7", "1e10", "12345678901234567890", [0x30, 0x39], [0x660, 0x669],
     [0x966, 0x96F], [0x2160, 0x2188], [0xB2, 0xB3], [0x2460, 0x2473], [0xFF10, 0xFF19], [0x1D7CE, 0x1D7FF], "\u00bd"],
    [".", ",", "!", "?!", "...", "--", "\u2014", "(", ")", "\"", "\u201c", "\u201d", "#", "@", "%", "\u20ac", "\u3002",
     "\u3001", "\u00bf", "[", "]", "~", "^", "*", "|", "\\", ":;", "<", ">", "\u2026", "\u00ab", "\u00bb"],
    [[0xC0, 0x24F], [0xC0, 0x24F], "na\u00efve", " caf\u00e9", "cafe\u0301", "\u00c5ngstr\u00f6m", "A\u030a", "\u212b", "stra\u00dfe",
     "\u1e69", "s\u0323\u0307", "s\u0307\u0323", "\u01c5", "\ufb01", "\u0130stanbul", [0x300, 0x36F], [0x1E00, 0x1EFF]],
    [[0x370, 0x3FF], [0x400, 0x4FF], " \u041f\u0440\u0438\u0432\u0435\u0442", "\u03b3\u03b5\u03b9\u03ac", [0x1F00, 0x1FFF], [0x531, 0x587],
     [0x10A0, 0x10FF], [0x2C00, 0x2C5F]],
    [[0x5D0, 0x5EA], [0x591, 0x5C7], [0x620, 0x64A], [0x64B, 0x65F], "\u0645\u0631\u062d\u0628\u0627", " \u05e9\u05dc\u05d5\u05dd", [0x700, 0x74F],
     [0xFB50, 0xFDFF], [0xFE70, 0xFEFC], [0x8A0, 0x8FF]],
    [[0x900, 0x97F], [0x980, 0x9FF], [0xA80, 0xAFF], [0xB80, 0xBFF], [0xC00, 0xC7F], [0xD00, 0xD7F], [0xE00, 0xE4F], [0xE80, 0xEDF],
     [0xF00, 0xFBC], [0x1000, 0x109F], [0x1200, 0x137F], [0x1780, 0x17FF], "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0958"],
    [[0x4E00, 0x9FFF], [0x4E00, 0x9FFF], [0x3040, 0x309F], [0x30A0, 0x30FF], [0xAC00, 0xD7A3], [0x1100, 0x11FF], [0x3130, 0x318F],
     [0x20000, 0x2A6DF], [0xF900, 0xFAD9], [0x2F800, 0x2FA1D], "\u4f60\u597d\u4e16\u754c", "\u6771\u4eac", "\uac01", "\u1100\u1161\u11a8",
     "\u304c", "\u304b\u3099", [0xFF21, 0xFF3A], [0xFF65, 0xFF9F]],
    [[0x1F600, 0x1F64F], [0x1F300, 0x1F5FF], [0x1F900, 0x1F9FF], [0x1F1E6, 0x1F1FF], [0x1F3FB, 0x1F3FF], "\u200d", "\ufe0f", "\u2764\ufe0f",
     "\U0001F468\u200d\U0001F469\u200d\U0001F467", "\U0001F1EB\U0001F1F7", [0x2600, 0x27BF], "1\ufe0f\u20e3", [0xE0020, 0xE007F]],
    [[0x2200, 0x22FF], [0x2190, 0x21FF], [0x2500, 0x257F], [0x1D400, 0x1D7CB], [0x20A0, 0x20C0], [0x2070, 0x209C], "\u2260", "=\u0338",
     ">\u0338", [0x1D100, 0x1D1FF], [0x2800, 0x28FF]],
    [[0x0, 0x1F], [0x7F, 0x9F], [0xE000, 0xE0FF], [0xFFF0, 0xFFFF], [0x10000, 0x10FFFF], [0x0800, 0xD7FF], [0x0, 0x2FF], "\ufffd",
     [0x10000, 0x1FFFF], [0x1AB0, 0x1AFF], [0x11000, 0x11FFF]],
    ["<think>", "</think>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>",
     "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<|im_start|>user\n", "<|im_", "<think", "<|begin_of_text|>", " <mask> ",
     "<word>", "<repo_name>", "<|vision_start|>", "<tool_call>", "<thinking>", "<mask>"],
    ["pneumonoultramicroscopicsilicovolcanoconiosis" * 2, "ab" * 60, "=" * 80, " " * 40, "\u00e9" * 50, "\u6f22\u5b57" * 30, "0" * 70,
     "!?" * 40, "\n" * 20],
]


def mix64(x):
    x = (x + 0x9E3779B97F4A7C15) & (2**64 - 1)
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return x ^ (x >> 31)


class Rng:
    """core/rng.h."""

    def __init__(self, seed, stream):
        self.key, self.index = mix64(seed ^ mix64(stream)), 0

    def below(self, n):
        bits = mix64((self.key + self.index) & (2**64 - 1))
        self.index += 1
        return ((bits >> 32) * n) >> 32


def string(seed, number):
    rng, out = Rng(seed, number), []
    for _ in range(1 + rng.below(14)):
        group = GROUPS[rng.below(len(GROUPS))]
        fragment = group[rng.below(len(group))]
        out.append(fragment if isinstance(fragment, str) else chr(fragment[0] + rng.below(fragment[1] - fragment[0] + 1)))
    return "".join(out)


def hash_ids(ids):
    """FNV-1a, 32 bits, over the ids as little-endian 32-bit words."""
    h = 0x811C9DC5
    for i in ids:
        for byte in i.to_bytes(4, "little"):
            h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{h:08x}"


def split(pattern):
    return [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]


def train(pre, normalizer, added, vocab_size=900):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer, tokenizer.decoder = normalizer, decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pre) if len(pre) > 1 else pre[0]
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator((string(SEED + 1, i) for i in range(20000)), trainer)
    tokenizer.add_tokens(added)
    return json.loads(tokenizer.to_str())


def special(text, **flags):
    return AddedToken(text, special=True, normalized=False, **flags)


def drop_tokens(root, texts):
    """Takes tokens out of the vocabulary (ids close up), and the merges that need them."""
    model = root["model"]
    kept = [t for t, _ in sorted(model["vocab"].items(), key=lambda x: x[1]) if t not in texts]
    model["vocab"] = {t: i for i, t in enumerate(kept)}
    model["merges"] = [m for m in model["merges"] if m[0] in model["vocab"] and m[1] in model["vocab"] and m[0] + m[1] in model["vocab"]]
    for token in root["added_tokens"]:
        if token["content"] not in model["vocab"]:
            kept.append(token["content"])
        token["id"] = kept.index(token["content"])


def qwen2():
    return train(split(QWEN2), normalizers.NFC(), [special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>"),
                 AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])


def llama3():
    """Every fifth merge is missing, so that ignore_merges matters."""
    root = train(split(LLAMA3), None, [special("<|begin_of_text|>"), special("<|eot_id|>")])
    root["model"]["merges"] = [m for i, m in enumerate(root["model"]["merges"]) if i % 5 != 4]
    root["model"]["ignore_merges"] = True
    return root


def smollm():
    """Merges as single texts, as older files have them, and some bytes without a token, as SmolLM2's."""
    root = train([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)], None,
                 [special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>"), special("<repo_name>")])
    drop_tokens(root, {"\u0100", "\u0101", "\u0120\u0120\u0120", "\u00f1", "\u00f5"})
    root["model"]["merges"] = [" ".join(m) for m in root["model"]["merges"]]
    return root


def gpt2():
    """A prefix space, an unknown token for the bytes that have none, and added tokens with every flag."""
    root = train([pre_tokenizers.ByteLevel(add_prefix_space=True)], None,
                 [special("<mask>", lstrip=True), special("<|endoftext|>", rstrip=True), AddedToken("<word>"),
                  AddedToken("the", single_word=True, normalized=True), AddedToken("caf\u00e9", normalized=True),
                  AddedToken("keys", single_word=True, normalized=False), special("<think>", lstrip=True, rstrip=True)])
    drop_tokens(root, {"\u0100", "\u00fe", "\u0122"})
    root["model"]["unk_token"], root["model"]["fuse_unk"] = "!", True
    return root


def whole():
    """Characters of single bytes, no merges, the text in one piece; added tokens in normalized text."""
    root = train([pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)], normalizers.NFC(),
                 [AddedToken("cafe\u0301", normalized=True), AddedToken("\u00c5", normalized=True), special("<|im_start|>")], 256)
    return root


def spaces():
    """Merges across what other splitters cut: long merges in one piece."""
    return train([pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)], None, [special("<|im_end|>")], 700)


SMALL = {"qwen2": qwen2, "llama3": llama3, "smollm": smollm, "gpt2": gpt2, "whole": whole, "spaces": spaces}


def from_gguf(path):
    """The Hugging Face tokenizer that a GGUF file's metadata describes."""
    from gguf import GGUFReader

    class Metadata(GGUFReader):
        def _build_tensors(self, *_):  # the file may end before its tensors
            pass

    fields = {k: f.contents() for k, f in Metadata(path).fields.items() if k.startswith("tokenizer.ggml.")}
    tokens, types, pre = (fields[f"tokenizer.ggml.{k}"] for k in ("tokens", "token_type", "pre"))
    vocab = {t: i for i, (t, kind) in enumerate(zip(tokens, types)) if kind != 5}  # 5: padding
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"]]))
    if pre in ("qwen2", "deepseek-r1-qwen"):
        tokenizer.normalizer, stages = normalizers.NFC(), split(QWEN2)
    elif pre == "smollm":
        stages = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    else:
        raise SystemExit(f"{path}: pre = {pre}")
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Sequence(stages), decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(t, special=k == 3, normalized=False) for t, k in zip(tokens, types) if k in (3, 4)])
    return tokenizer


def splitters():
    """Byte lengths of the pieces that a splitter cuts."""
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    return {"qwen2": split(QWEN2)[0], "llama3": split(LLAMA3)[0], "gpt2": gpt2, "smollm": pre_tokenizers.Sequence([digits, gpt2])}


def piece_lengths(pre, text):
    return [len(text[a:b].encode()) for _, (a, b) in pre.pre_tokenize_str(text)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--gguf", action="append", default=[], metavar="NAME=FILE")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    golden = OUT / "golden.json"
    hashes = json.loads(golden.read_text())["hashes"] if golden.exists() else {}
    tokenizers = {name.split("=")[0]: from_gguf(name.split("=", 1)[1]) for name in args.gguf}
    for name, make in SMALL.items():
        file = OUT / name / "tokenizer.json"
        if args.train or not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(make(), ensure_ascii=True, separators=(",", ":")) + "\n")
        tokenizers[name] = Tokenizer.from_file(str(file))
    strings = [string(SEED, i) for i in range(COUNT)]
    for name, tokenizer in tokenizers.items():
        hashes[name] = "".join(hash_ids(e.ids) for e in tokenizer.encode_batch(strings, add_special_tokens=False))
        print(name, tokenizer.get_vocab_size(), "tokens")
    first = strings[:PIECES]
    pieces = {name: "".join(hash_ids(piece_lengths(pre, s)) for s in first) for name, pre in splitters().items()}
    nfc = "".join(hash_ids(list(normalizers.NFC().normalize_str(s).encode())) for s in first)
    content = {"made_with": f"tokenizers {__version__}", "seed": SEED, "count": COUNT, "groups": GROUPS,
               "hashes": dict(sorted(hashes.items())), "pieces": pieces, "nfc": nfc}
    golden.write_text(json.dumps(content, ensure_ascii=True, indent=0) + "\n")


if __name__ == "__main__":
    main()
