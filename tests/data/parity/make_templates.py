"""Writes templates.json: conversations rendered by Python's Jinja2 as transformers sets it up.

    pip install transformers jinja2; python tests/data/parity/make_templates.py; deno fmt tests/data/parity

For each template one hash of the text a conversation (with and without a generation prompt, in turn), or
`--------` where it raised an error, and the texts of the first conversations.
"""
import datetime
import json
from pathlib import Path

from transformers.utils import chat_template_utils

from conversations import conversation
from texts import HERE, fnv

CONVERSATIONS, SHOWN = 1000, 4
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class Day(datetime.datetime):
    """The day that the program tells templates."""

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime(2024, 7, 26)


def render(template, index):
    messages, tools = conversation(index)
    try:
        return template.render(messages=messages, tools=tools, add_generation_prompt=index % 2 == 0, **TOKENS)
    except Exception as error:
        if "must take turns" not in str(error) and "can only concatenate" not in str(error):
            print(f"conversation {index}: {error}")
        return None


def main():
    chat_template_utils.datetime = Day
    root = HERE.parent.parent.parent
    paths = sorted((root / "data" / "templates").glob("*.jinja")) + sorted((HERE / "templates").glob("*.jinja"))
    lines = []
    for path in paths:
        template = chat_template_utils._compile_jinja_template(path.read_text("utf-8"))
        texts = [render(template, index) for index in range(CONVERSATIONS)]
        hashes = "".join("-" * 8 if text is None else f"{fnv(text.encode()):08x}" for text in texts)
        lines.append(json.dumps(path.stem) + ": " + json.dumps({"hashes": hashes, "shown": texts[:SHOWN]}))
    (HERE / "templates.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


main()
