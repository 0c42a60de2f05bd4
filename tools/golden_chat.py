#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
"""Golden file of the chat tests: what transformers' apply_chat_template makes of conversations, per template.

Writes tests/data/tokenizer/chat.json. The templates below have the structure of the models' own, without their tool calls; those of
real models come along when their files are given, and are named instead of copied: --gguf NAME=FILE.gguf (only metadata is read).
Other templates can be looked at with --template FILE.jinja (prints a comparison input, writes nothing).

Needs: pip install transformers jinja2 gguf."""
import argparse
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import render_jinja_template

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "tokenizer" / "chat.json"

TEMPLATES = {
    "r1-last-system": (
        "{% set ns = namespace(system='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system = message['content'] %}"
        "{%- endif %}{%- endfor %}{{bos_token}}{{ns.system}}{%- for message in messages %}{%- if message['role'] == 'user' %}"
        "{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' %}{% set content = message['content'] %}"
        "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
        "{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor -%}"
        "{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"),
    "r1-joined-systems": (
        "{% set ns = namespace(system='', is_first_sp=true) %}{%- for message in messages %}{%- if message['role'] == 'system' %}"
        "{%- if ns.is_first_sp %}{% set ns.system = message['content'] %}{% set ns.is_first_sp = false %}{%- else %}"
        "{% set ns.system = ns.system + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system}}"
        "{%- for message in messages %}{%- if message['role'] == 'user' %}{{'<｜User｜>' + message['content']}}{%- endif %}"
        "{%- if message['role'] == 'assistant' %}{% set content = message['content'] %}"
        "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
        "{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor -%}"
        "{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"),
    "chatml-plain": (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"),
    "chatml-default-system": (
        "{#- It's a comment with an apostrophe, and {{ braces. #}\n"
        "{%- if messages[0]['role'] == 'system' %}\n    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n"
        "{%- else %}\n    {{- '<|im_start|>system\\nYou are kvtoll\\'s \\\\boxed{} test. Be brief.<|im_end|>\\n' }}\n{%- endif %}\n"
        "{%- for message in messages %}\n    {%- if message.role == \"user\" or (message.role == \"system\" and not loop.first) or message.role == \"assistant\" %}\n"
        "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n    {%- endif %}\n{%- endfor %}\n"
        "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n"),
    "chatml-thinking": (
        "{%- for message in messages %}{%- set content = message.content %}{%- if message.role == 'assistant' and not loop.last %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
        "{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"),
    "chatml-thoughts-cut": (
        "{%- for message in messages %}{%- set content = message.content %}{%- if message.role == 'assistant' and "
        "'</think>' in message.content %}{%- if '</think>' in content %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}{%- endif %}"
        "{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"),
    "llama3": (
        "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + "
        "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"),
    "llama3-dates": (
        "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- set date_string = \"26 Jul 2024\" %}\n{%- endif %}\n"
        "{%- if messages[0]['role'] == 'system' %}\n    {%- set system = messages[0]['content']|trim %}\n"
        "    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system = \"\" %}\n{%- endif %}\n"
        "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n{{- \"Cutting Knowledge Date: December 2023\\n\" }}\n"
        "{{- \"Today Date: \" + date_string + \"\\n\\n\" }}\n{{- system }}\n{{- \"<|eot_id|>\" }}\n{%- for message in messages %}\n"
        "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}\n{%- endfor %}\n"
        "{%- if add_generation_prompt %}\n    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n"),
}

def message(role):
    return lambda text: {"role": role, "content": text}


USER, SYSTEM, REPLY = message("user"), message("system"), message("assistant")
CONVERSATIONS = [
    [USER("What is 2 + 2?")],
    [SYSTEM("Be brief."), USER("Hi")],
    [USER("One"), REPLY("<think>\nhm\n</think>\n\nTwo"), USER("Three")],
    [SYSTEM("A"), USER("B"), REPLY("C"), USER("D"), REPLY("<think></think>E</think>\nF"), USER("G")],
    [SYSTEM("first"), SYSTEM("second"), USER("x")],
    [USER("  spaces around \n"), REPLY("\n\nreply "), USER("caf\u00e9 \U0001F600 <|im_end|> {{ x }} 'q'")],
    [USER("")],
    [SYSTEM("\u3000\u00a0\x1c wide spaces\u2003"), USER("\x85a\u200b")],
]
BOS = {"r1": "<｜begin▁of▁sentence｜>", "deepseek": "<｜begin▁of▁sentence｜>", "llama": "<|begin_of_text|>"}


def render(template, bos, messages):
    rendered, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=True, bos_token=bos, eos_token="")
    return rendered[0]


def bos_of(name):
    return next((bos for start, bos in BOS.items() if name.startswith(start)), "")


def gguf_template(path):
    from gguf import GGUFReader

    class Metadata(GGUFReader):
        def _build_tensors(self, *_):  # the file may end before its tensors
            pass

    return Metadata(path).fields["tokenizer.chat_template"].contents()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--template", action="append", default=[], metavar="NAME=FILE")
    args = parser.parse_args()
    cases = []
    if args.template:
        for name, path in (t.split("=", 1) for t in args.template):
            text = pathlib.Path(path).read_text()
            cases += [{"name": name, "template": text, "messages": m, "expected": render(text, bos_of(name), m)} for m in CONVERSATIONS]
        return json.dump({"cases": cases}, sys.stdout, ensure_ascii=True, indent=0)
    for name, text in TEMPLATES.items():
        cases += [{"name": name, "template": text, "messages": m, "expected": render(text, bos_of(name), m)} for m in CONVERSATIONS]
    for name, path in (g.split("=", 1) for g in args.gguf):
        text = gguf_template(path)
        cases += [{"name": name, "model": name, "messages": m, "expected": render(text, bos_of(name), m)} for m in CONVERSATIONS]
    OUT.write_text(json.dumps({"cases": cases}, ensure_ascii=True, indent=0) + "\n")


if __name__ == "__main__":
    main()
