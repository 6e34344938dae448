"""The conversations on which chat templates are compared; conversations.ts makes the same ones."""
import re

from texts import MASK, Random, text as any_text

ROLES = ["user", "assistant"]


def text(index):
    """Without U+001C to U+001F, at which trimming is refused."""
    return re.sub("[\x1c-\x1f]", "", any_text(index))


def conversation(index):
    """Messages and tools; every third conversation has a system turn, every fourth calls a tool."""
    random = Random(0x51ED270B ^ (index * 2246822519 & MASK) or 1)
    messages = []
    if index % 3 == 0:
        messages.append({"role": "system", "content": text(5000 + index)})
    for turn in range(1 + random.below(6)):
        content = text(10000 + 10 * index + turn)
        content = [content, " " + content + "\n", content.strip() or "a"][random.below(3)]
        messages.append({"role": ROLES[turn % 2], "content": content})
    tools = None
    if index % 4 == 0:
        tools = [tool(random) for _ in range(1 + random.below(3))]
        if messages[-1]["role"] == "assistant":
            messages[-1]["tool_calls"] = [call(random) for _ in range(1 + random.below(2))]
            for _ in range(random.below(3)):
                messages.append({"role": "tool", "name": "look", "content": text(20000 + index)})
    return messages, tools


def tool(random):
    return {
        "type": "function",
        "function": {
            "name": "look",
            "description": text(random.below(9000)),
            "parameters": {"type": "object", "required": [], "properties": {"n": {"enum": [1, -2, None, True]}}},
        },
    }


def call(random):
    arguments = {"q": text(random.below(9000)), "n": random.below(1000), "deep": {"list": [0.5, {}, []]}}
    return {"type": "function", "function": {"name": "look", "arguments": arguments}}
