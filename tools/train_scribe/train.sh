#!/usr/bin/env bash
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
# Trains one scribe from nothing to the folder that ships, on one GPU, in under 9 minutes: train.sh KVTOLL OUT [--outlier]
# KVTOLL is the built binary (its text is what is trained on). Run again after a kill: it resumes. Other options go to train.py. A copy without
# its history names its revision in KVTOLL_COMMIT.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kvtoll=$1; out=$2; shift 2
data=$out.data
[ -f "$data/tokenizer.json" ] || { "$here/print_tasks.sh" "$kvtoll" "$data"; python3 "$here/make_tokenizer.py" "$data" "$data"; }
commit=${KVTOLL_COMMIT:-$(git -C "$here" rev-parse HEAD)}
# scribe-outlier: 28 layers shrug off what 8 bits lose in the last one, six do not unless they have seen something like it.
noise=0; [[ " $* " == *" --outlier "* ]] && noise=0.7
[ -f "$out.phase1/model.safetensors" ] ||
  python3 "$here/train.py" "$data" "$out.phase1" --steps 8160 --eval-count 0 --commit "$commit" "$@"
python3 "$here/train.py" "$data" "$out" --init "$out.phase1" --steps 2500 --facts-share 0.5 --lr 5e-4 --key-noise "$noise" --commit "$commit" "$@"
cat "$out.phase1/train_log.jsonl" "$out/train_log.jsonl" > "$out/train_log.all" && mv "$out/train_log.all" "$out/train_log.jsonl"
