"""The texts on which tokenizers are compared; texts.ts makes the same ones."""
import json
from pathlib import Path

HERE = Path(__file__).parent
PIECES = json.loads((HERE / "pieces.json").read_text("utf-8"))
MASK = 0xFFFFFFFF


class Random:
    """Marsaglia's xorshift with 32 bits."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        x = self.state
        x ^= (x << 13) & MASK
        x ^= x >> 17
        x ^= (x << 5) & MASK
        self.state = x
        return x % bound


def code_point(random):
    """Any scalar value of the first three planes, the small ones more often."""
    limit = (0x80, 0x800, 0x3000, 0x10000, 0x30000)[random.below(5)]
    value = random.below(limit)
    return 0xFFFD if 0xD800 <= value < 0xE000 else value


def text(index):
    random = Random(0x9E3779B9 ^ (index * 2654435761 & MASK) or 1)
    parts = []
    for _ in range(1 + random.below(24)):
        kind = random.below(16)
        if kind == 0:
            parts.append(chr(code_point(random)))
        elif kind == 1:
            parts.append(PIECES[random.below(len(PIECES))] * (1 + random.below(5)))
        elif kind < 6:
            parts.append(" " + PIECES[random.below(len(PIECES))])
        else:
            parts.append(PIECES[random.below(len(PIECES))])
    return "".join(parts)


def fnv(ids):
    """32-bit FNV-1a over the bytes of the ids, low byte first, four a number."""
    hash = 0x811C9DC5
    for id in ids:
        for shift in (0, 8, 16, 24):
            hash = ((hash ^ (id >> shift & 255)) * 0x01000193) & MASK
    return hash
