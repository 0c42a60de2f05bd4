#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Watts of the busiest two seconds of a program on the first GPU, from the driver's energy counter; joules a token of decode_bench.

Two builds in turn on one card tell more than either alone. Not a record of the instrument: `kvtoll run` has idle power and edges.

  lab/step_power.py NAME build/release/bench/decode_bench --contexts 512 --steps 600
"""
import ctypes
import subprocess
import sys
import threading
import time

SPAN = 2.0  # seconds

nvml = ctypes.CDLL("libnvidia-ml.so.1")
device = ctypes.c_void_p()
samples = []  # at each update of the counter: seconds, joules
done = threading.Event()


def joules():
    value = ctypes.c_ulonglong()
    nvml.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(value))
    return value.value * 1e-3


def sample():
    last = joules()
    while not done.is_set():
        now = joules()
        if now != last:
            samples.append((time.monotonic(), now))
            last = now
        time.sleep(0.004)


def busiest():
    best = 0.0
    for i, (t0, e0) in enumerate(samples):
        for t1, e1 in samples[i + 1:]:
            if t1 - t0 >= SPAN:
                best = max(best, (e1 - e0) / (t1 - t0))
                break
    return best


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)):
        sys.exit("step_power: the driver's library has no first GPU")
    thread = threading.Thread(target=sample)
    thread.start()
    try:
        run = subprocess.run(sys.argv[2:], capture_output=True, text=True)
    finally:
        done.set()
        thread.join()
    if run.returncode:
        sys.exit(f"{sys.argv[2]}: exit status {run.returncode}\n{run.stderr}")
    watts = busiest()
    if not watts:
        sys.exit(f"step_power: the program ran for less than {SPAN} s")
    print(f"{sys.argv[1]}: {watts:.0f} W")
    for line in run.stdout.splitlines():
        fields = line.split()
        if len(fields) == 9 and fields[0].isdigit():  # a context of decode_bench
            ms = float(fields[1])
            print(f"{sys.argv[1]}: context {fields[0]}, {ms:.3f} ms, {1e3 / ms:.2f} tok/s, {watts * ms * 1e-3:.3f} J/token")


main()
