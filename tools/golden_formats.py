#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Golden tensors of quantized KV caches, made with the real optimum-quanto and hqq.

    pip install torch safetensors numpy optimum-quanto==0.2.7 hqq==0.2.8.post1
    tools/golden_formats.py --format int4-quanto --shape 4,33,128 --out k.safetensors
    tools/golden_formats.py --format int8-hqq:axis=1,solver=fp32 --dtype bf16 --input keys.safetensors --tensor k --out k.safetensors
    kvtoll formats verify k.safetensors

--format takes kvtoll's names and options: int4-quanto, int2-quanto (group, axis 0 or -1), int8-hqq ... int1-hqq (group, axis
0 or 1, solver fp16 or fp32). solver=fp16 is what hqq does on CUDA; on a CPU the same code path runs here with
hqq.core.optimize.float32 = torch.float16. The tensor: --input FILE (.safetensors, .npy or .pt) of shape [heads, tokens, dim] or
[1, heads, tokens, dim], or --shape with --data. --set DIR writes the files of tests/data/formats.
What the file holds: src/kvtoll/formats/golden.h."""
import argparse
import importlib.metadata
import os
import sys
import warnings

warnings.filterwarnings("ignore")
import torch
from safetensors.torch import load_file, save_file

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def parse_format(spec):
    name, _, rest = spec.partition(":")
    options = dict(group=64, axis=0, solver="fp16")
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        if key not in options:
            sys.exit(f"golden_formats: option '{key}' is not known; the options are group, axis, solver")
        options[key] = value if key == "solver" else int(value)
    bits, _, scheme = name.removeprefix("int").partition("-")
    if scheme not in ("quanto", "hqq") or not bits.isdigit():
        sys.exit(f"golden_formats: format '{name}' is not known; examples: int4-quanto, int8-hqq:axis=1")
    return scheme, int(bits), options


def run_quanto(x, bits, options):
    from optimum.quanto import MaxOptimizer, qint2, qint4, quantize_weight
    qtype = {4: qint4, 2: qint2}[bits]
    axis, group = options["axis"], options["group"]
    scale, shift = MaxOptimizer()(x, qtype, axis, group)
    q = quantize_weight(x, qtype, axis, scale, shift, group)
    return dict(codes=q._data.unpack(), packed=q._data._data, scale=q._scale.flatten(), shift=q._shift.flatten(), dequantized=q.dequantize())


def run_hqq(x, bits, options):
    import hqq.core.optimize as optimize
    from hqq.core.quantize import Quantizer
    # The library picks the solver's dtype by device: fp16 on CUDA, fp32 elsewhere. On a CPU the fp16 branch is reached by
    # renaming the one dtype that it uses; on CUDA only fp16 exists.
    if x.device.type == "cuda" and options["solver"] != "fp16":
        sys.exit("golden_formats: on CUDA the library has only solver=fp16; use --device cpu")
    optimize.float32 = DTYPES[options["solver"]]
    try:
        packed, meta = Quantizer.quantize(x, axis=options["axis"], device=x.device, compute_dtype=x.dtype, nbits=bits, group_size=options["group"])
    finally:
        optimize.float32 = torch.float32
    meta["compute_dtype"] = x.dtype
    Quantizer.cuda(packed, meta=meta, device=x.device)
    codes = Quantizer.unpack[meta["packing"]](packed, dtype=torch.uint8)
    rows = options["group"] if options["axis"] == 0 else x.numel() // options["group"]
    return dict(codes=codes[:rows], packed=packed, step=meta["scale"].flatten(), zero=meta["zero"].flatten(), dequantized=Quantizer.dequantize(packed, meta))


def versions(scheme):
    packages = ["torch", {"quanto": "optimum-quanto", "hqq": "hqq"}[scheme]]
    return {name: importlib.metadata.version(name) for name in packages}


def write_golden(path, spec, x, description):
    """x: [1, heads, tokens, dim] on the device that the library shall run on."""
    scheme, bits, options = parse_format(spec)
    try:
        tensors = (run_quanto if scheme == "quanto" else run_hqq)(x, bits, options)
    except (ValueError, AssertionError, RuntimeError, KeyError) as error:
        sys.exit(f"golden_formats: the library refuses {spec} on {list(x.shape)}: {error}")
    tensors = {"input": x, **tensors}
    tensors = {name: t.detach().contiguous().cpu().clone() for name, t in tensors.items()}
    metadata = {"kvtoll_golden": "1", "format": spec, "data": description, "device": x.device.type, **versions(scheme)}
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    save_file(tensors, path, metadata=metadata)
    print(f"{path}: {spec}, {str(x.dtype).removeprefix('torch.')}, shape {list(x.shape)}")


def make_input(kind, shape, dtype, seed):
    """[1, H, T, D]. `mixed` has everything in one small tensor: noise, Qwen-like channel outliers, constant groups, tiny values."""
    generator = torch.Generator().manual_seed(seed)
    heads, tokens, dim = shape
    x = torch.randn(1, heads, tokens, dim, generator=generator)
    if kind == "outliers":
        for d, v in ((5, 400.0), (40, -400.0), (70, 234.0), (101, -97.0)):
            x[..., d % dim] += v
    elif kind == "constant":
        x[:, :, ::2, : dim // 2] = 0.7371
    elif kind == "tiny":
        x *= 2e-7
    elif kind == "mixed":
        x[:, 1 % heads, :, 5 % dim] += 400.0
        x[:, 1 % heads, :, 70 % dim] -= 400.0
        x[:, 2 % heads, ::2, : dim // 2] = 0.7371
        x[:, 2 % heads, -1, dim // 2:] *= 2e-7
        x[:, -1, 0, :] *= 30.0
    return x.to(DTYPES[dtype])


def read_input(path, tensor, dtype):
    if path.endswith(".npy"):
        import numpy
        x = torch.from_numpy(numpy.load(path))
    elif path.endswith(".pt"):
        x = torch.load(path, map_location="cpu", weights_only=True)
    else:
        tensors = load_file(path)
        if tensor is None and len(tensors) != 1:
            sys.exit(f"golden_formats: {path} holds {sorted(tensors)}; choose one with --tensor")
        x = tensors[tensor or next(iter(tensors))]
    if dtype:
        x = x.to(DTYPES[dtype])
    if x.dim() == 3:
        x = x[None]
    if x.dim() != 4 or x.shape[0] != 1 or x.dtype not in DTYPES.values():
        sys.exit(f"golden_formats: the tensor must be floating point, [heads, tokens, dim]; it is {x.dtype} {list(x.shape)}")
    return x.contiguous()


def write_set(folder):
    """tests/data/formats: every scheme, width and axis, fp16 and bf16, both solvers; odd lengths."""
    seed = 0

    def one(spec, dtype, shape, kind="mixed"):
        nonlocal seed
        seed += 1
        name = f"{spec.replace(':', '.').replace('=', '').replace(',', '.')}.{dtype}.{kind}.t{shape[1]}.safetensors"
        write_golden(os.path.join(folder, name), spec, make_input(kind, shape, dtype, seed), f"{kind}, seed {seed}")

    small = (4, 3, 128)
    for bits in (4, 2):
        for dtype in ("fp16", "bf16"):
            one(f"int{bits}-quanto", dtype, small)
            one(f"int{bits}-quanto:axis=-1,group=12", dtype, small)
    one("int4-quanto", "fp32", small)
    one("int4-quanto", "fp16", (1, 1, 64))
    one("int4-quanto:group=32", "fp16", (3, 5, 64), "constant")
    one("int4-quanto:group=64", "fp16", (4, 3, 80), "outliers")
    for bits in (8, 4, 3, 2, 1):
        for axis in ("", ":axis=1") if bits != 3 else ("",):
            for dtype in ("fp16", "bf16"):
                one(f"int{bits}-hqq{axis}", dtype, small)
            one(f"int{bits}-hqq{axis}{',' if axis else ':'}solver=fp32", "fp16", small)
    one("int8-hqq:solver=fp32", "bf16", small)
    one("int8-hqq", "fp32", small)
    one("int8-hqq", "fp16", (4, 13, 128), "outliers")
    one("int4-hqq", "fp16", (3, 5, 64), "constant")
    one("int8-hqq:axis=1", "fp16", (3, 5, 64), "tiny")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format")
    parser.add_argument("--out")
    parser.add_argument("--input")
    parser.add_argument("--tensor")
    parser.add_argument("--shape", default="4,33,128", help="heads,tokens,dim")
    parser.add_argument("--data", default="normal", choices=["normal", "outliers", "constant", "tiny", "mixed"])
    parser.add_argument("--dtype", choices=list(DTYPES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; the order of sums of solver=fp32 depends on it beyond 32,768 elements")
    parser.add_argument("--set", metavar="DIR")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.set:
        return write_set(args.set)
    if not args.format or not args.out:
        parser.error("--format and --out are needed (or --set)")
    if args.input:
        x, description = read_input(args.input, args.tensor, args.dtype), f"{os.path.basename(args.input)} {args.tensor or ''}".strip()
    else:
        x, description = make_input(args.data, tuple(map(int, args.shape.split(","))), args.dtype or "fp16", args.seed), f"{args.data}, seed {args.seed}"
    write_golden(args.out, args.format, x.to(args.device), description)


if __name__ == "__main__":
    main()
