#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Letter likelihoods of MMLU against transformers and lm-evaluation-harness, question by question.

    pip install torch transformers gguf lm-eval
    peers/mmlu_letters.py to-folder MODEL.gguf FOLDER         # an fp32 Hugging Face folder of the same weights
    kvtoll eval mmlu --data MMLU --model m=FOLDER --dtype fp32 --kv fp32 --limit 228 --results OUT
    peers/mmlu_letters.py compare FOLDER MMLU OUT/accuracy/mmlu.m.*.json RESULT.json

`compare` asks both peers the questions of the record and writes the largest difference of log P(" A") .. log P(" D") and the
accuracies. MMLU is the folder with test/ and dev/ in the official CSV layout."""
import argparse
import csv
import importlib.metadata
import json
import pathlib
import tempfile

LETTERS = "ABCD"


def to_folder(gguf, folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    gguf = pathlib.Path(gguf)
    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    model.config.__dict__.pop("quantization_config", None)  # the weights are plain fp32 now
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        model.__dict__.pop(name, None)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(folder)
    mend_tokenizer(pathlib.Path(folder))


def mend_tokenizer(folder):
    """transformers converts a byte-level GGUF tokenizer as if it were SentencePiece; SmolLM2's own file says this."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer["model"].update(byte_fallback=False, fuse_unk=False, unk_token=None)
    tokenizer.update(normalizer=None, post_processor=None, decoder=byte_level, pre_tokenizer={
        "type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]})
    path.write_text(json.dumps(tokenizer))
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.update(tokenizer_class="PreTrainedTokenizerFast", add_bos_token=False)
    path.write_text(json.dumps(config))


def rows(mmlu, split, subject):
    with open(pathlib.Path(mmlu) / split / f"{subject}_{split}.csv", newline="") as f:
        return [{"question": r[0], "choices": r[1:5], "answer": LETTERS.index(r[5])} for r in csv.reader(f)]


def block(doc, answered):
    text = doc["question"].strip() + "".join(f"\n{x}. {c}" for x, c in zip(LETTERS, doc["choices"])) + "\nAnswer:"
    return text + (f" {LETTERS[doc['answer']]}\n\n" if answered else "")


def ask_transformers(folder, mmlu, record):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    letters = [tokenizer.encode("Answer: " + x, add_special_tokens=False)[-1] for x in LETTERS]
    out = {}
    for q in record["questions"]:
        subject, index = q["id"].rsplit("/", 1)
        shots = rows(mmlu, "dev", subject)[:record["config"]["shots"]]
        prompt = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
        prompt += "".join(block(d, True) for d in shots) + block(rows(mmlu, "test", subject)[int(index)], False)
        with torch.no_grad():
            logits = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
        out[q["id"]] = torch.log_softmax(logits.double(), -1)[letters].tolist()
    return out


def ask_harness(folder, mmlu, record):
    """lm-evaluation-harness with its own task machinery, one task per subject as its mmlu group has it."""
    import lm_eval
    by_subject = {}
    for q in record["questions"]:
        by_subject.setdefault(q["id"].rsplit("/", 1)[0], []).append(q["id"])
    tasks, order = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for subject, ids in by_subject.items():
            test = rows(mmlu, "test", subject)
            files = {}
            for split, docs in (("test", [test[int(i.rsplit("/", 1)[1])] for i in ids]), ("dev", rows(mmlu, "dev", subject))):
                files[split] = f"{scratch}/{subject}_{split}.jsonl"
                pathlib.Path(files[split]).write_text("".join(json.dumps(d) + "\n" for d in docs))
            name = f"kvtoll_{subject}"
            order[name] = ids
            tasks.append({
                "task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files}, "test_split": "test",
                "fewshot_split": "dev", "fewshot_config": {"sampler": "first_n"}, "num_fewshot": record["config"]["shots"],
                "output_type": "multiple_choice", "doc_to_choice": list(LETTERS), "doc_to_target": "answer",
                "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\n"
                               "D. {{choices[3]}}\nAnswer:",
                "description": "The following are multiple choice questions (with answers) about "
                               f"{subject.replace('_', ' ')}.\n\n",
                "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]})
        results = lm_eval.simple_evaluate(model="hf", model_args=f"pretrained={folder},dtype=float32,device=cpu",
                                          tasks=tasks, batch_size=1, log_samples=True, bootstrap_iters=0)
    out = {}
    for name, samples in results["samples"].items():
        for sample in samples:
            out[order[name][sample["doc_id"]]] = [r[0][0] if isinstance(r[0], (list, tuple)) else r[0]
                                                  for r in sample["resps"]]
    return out


def compare(folder, mmlu, record_file, out_file):
    record = json.loads(pathlib.Path(record_file).read_text())
    for field in ("data", "model_source", "tokenizer"):  # where they lay is nobody's business
        if field in record["config"]:
            record["config"][field] = pathlib.Path(record["config"][field]).name
    record["environment"].pop("argv", None)
    result = {"what": "MMLU letter likelihoods, kvtoll against peers on the same weights in fp32",
              "command": "peers/mmlu_letters.py compare FOLDER MMLU RECORD RESULT", "config": record["config"],
              "environment": record["environment"], "ids": record["ids"], "peers": {}}
    ours = {q["id"]: q["letter_logp"] for q in record["questions"]}
    gold = {q["id"]: LETTERS.index(q["gold"]) for q in record["questions"]}

    def right(logp):
        return sum(max(range(4), key=lambda i: logp[k][i]) == gold[k] for k in gold)

    result["kvtoll"] = {"correct": right(ours), "total": len(gold)}
    for name, package, ask in (("transformers", "transformers", ask_transformers),
                               ("lm-evaluation-harness", "lm_eval", ask_harness)):
        theirs = ask(folder, mmlu, record)
        difference = max(abs(a - b) for k in gold for a, b in zip(ours[k], theirs[k]))
        same = sum(max(range(4), key=lambda i: ours[k][i]) == max(range(4), key=lambda i: theirs[k][i]) for k in gold)
        result["peers"][name] = {"version": importlib.metadata.version(package), "correct": right(theirs),
                                 "same_letter": same, "max_abs_difference_logp": difference}
    pathlib.Path(out_file).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({"kvtoll": result["kvtoll"], **result["peers"]}, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    a = commands.add_parser("to-folder")
    a.add_argument("gguf")
    a.add_argument("folder")
    a.set_defaults(run=lambda x: to_folder(x.gguf, x.folder))
    b = commands.add_parser("compare")
    for name in ("folder", "mmlu", "record", "out"):
        b.add_argument(name)
    b.set_defaults(run=lambda x: compare(x.folder, x.mmlu, x.record, x.out))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
