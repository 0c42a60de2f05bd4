#!/usr/bin/env bash
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
# Fills FOLDER with the text the scribes are trained on, as the kvtoll binary prints it: print_tasks.sh KVTOLL FOLDER
set -euo pipefail
kvtoll=$1; folder=$2
mkdir -p "$folder"
"$kvtoll" eval facts --print 300000 --split train --seed 0 > "$folder/facts.jsonl"
"$kvtoll" eval facts --print 500 --split validation --seed 0 > "$folder/facts_validation.jsonl"
"$kvtoll" eval facts-statements --print 1000 > "$folder/statements.jsonl"
"$kvtoll" eval arith --print 200 --split train --seed 0 > "$folder/arith.jsonl"
for split in train test validation; do
  "$kvtoll" eval arith --print 30 --split "$split" --seed 5
done > "$folder/arith_check.jsonl"
