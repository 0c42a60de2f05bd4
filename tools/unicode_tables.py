#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Writes src/kvtoll/model/unicode_tables.inc: where Hugging Face's `tokenizers` and the oldest utf8proc that we build
against (2.8, Unicode 15.0) see a code point differently, asked of `tokenizers` itself for every code point.

Needs: pip install tokenizers unicodedata2 (any Unicode version of at least 16).
Usage: tools/unicode_tables.py > src/kvtoll/model/unicode_tables.inc"""
import sys
import unicodedata2
from tokenizers import Regex, __version__, normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
OLDEST = (15, 0)


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def younger_than_utf8proc():
    """Code points that Unicode 15.0 leaves unassigned, by the class that the splitters' regular expressions give them."""
    age15 = {c for c in POINTS if unicodedata2.category(chr(c)) != "Cn"} - assigned_in_15()
    for name in "LN":
        split = pre_tokenizers.Split(Regex(r"\p{%s}" % name), "removed")
        yield name, [c for c in age15 if not split.pre_tokenize_str(chr(c))]


def assigned_in_15():
    """What utf8proc 2.8 knows, through the library itself."""
    import ctypes
    import ctypes.util
    lib = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
    lib.utf8proc_unicode_version.restype = ctypes.c_char_p
    version = tuple(int(x) for x in lib.utf8proc_unicode_version().decode().split("."))[:2]
    if version != OLDEST:
        sys.exit(f"this utf8proc has Unicode {version}; make the table where it has {OLDEST} (Debian 12)")
    return {c for c in POINTS if lib.utf8proc_category(c) != 0}


def plain_starters():
    """Code points that NFC moves or composes, but not in `tokenizers`, whose normalization tables are of Unicode 9."""
    nfc = normalizers.NFC().normalize_str
    late = set()
    for c in POINTS:
        x, combining = chr(c), unicodedata2.combining(chr(c))
        if combining:
            other = "\u0327" if combining > 202 else "\u0315" if combining < 202 else "\u0334"
            pair = x + other if combining > unicodedata2.combining(other) else other + x
            if nfc("a" + pair) == "a" + pair:
                late.add(c)
        parts = unicodedata2.decomposition(x)
        if parts and not parts.startswith("<"):
            pair = "".join(chr(int(p, 16)) for p in parts.split())
            if len(pair) == 2 and unicodedata2.normalize("NFC", pair) == x and nfc(pair) != x:
                late.update((c, ord(pair[0])))
    return late


def table(name, points, comment):
    print(f"// {comment}")
    print(f"constexpr CodePointRange {name}[] = {{")
    items = [f"{{0x{a:04X}, 0x{b:04X}}}," for a, b in ranges(points)]
    line = "   "
    for item in items:
        if len(line) + 1 + len(item) > 100:
            print(line)
            line = "   "
        line += " " + item
    print(line[:-1] + "};\n" if items else "};\n")


def main():
    print("// SPDX-FileCopyrightText: The kvtoll authors\n// SPDX-License-Identifier: Apache-2.0")
    print(f"// Made by tools/unicode_tables.py with tokenizers {__version__}. Do not edit.\n")
    for name, points in younger_than_utf8proc():
        word = {"L": "Letters", "N": "Numbers"}[name]
        table(f"kYounger{word}", points, f"{word} assigned after Unicode 15.0.")
    table("kPlainStarters", plain_starters(),
          "What NFC reorders or composes since Unicode 10, and `tokenizers` leaves where it is.")


if __name__ == "__main__":
    main()
