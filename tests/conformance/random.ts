/** Seeded choices for generators of damaged files: case i of a kind is the same on every machine. */
import { uniformStream } from "../../data/philox.ts";

export interface Choices {
  /** A whole number from 0 to below `n`. */
  below(n: number): number;
  pick<T>(items: readonly T[]): T;
}

export function choices(kind: string, index: number): Choices {
  const stream = uniformStream(index, kind);
  let counter = 0;
  const below = (n: number) => Math.floor(stream(counter++) * n);
  return { below, pick: (items) => items[below(items.length)] };
}

/** Sizes and counts that parsers trip over. */
export const COUNTS: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  5n,
  31n,
  33n,
  64n,
  255n,
  65536n,
  2n ** 24n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 32n,
  2n ** 64n - 1n,
];

/** Values that stand where others were expected. */
export const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  1,
  -1,
  2,
  0.5,
  1e-320,
  1e308,
  16777217,
  9007199254740991,
  "",
  "a",
  "0",
  "__proto__",
  "constructor",
  "\u0000",
  "\ud800",
  "\\",
  "(",
  "[",
  "é😀",
  " ",
  [],
  [1],
  [[]],
  [null],
  ["a", "b"],
  {},
  { type: "default" },
  { a: 1 },
];

/** Damages bytes without knowing what they mean. */
export function damageBytes(bytes: Uint8Array, random: Choices): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length);
  const copy = new Uint8Array(bytes);
  switch (random.below(7)) {
    case 0:
      copy[at] ^= 1 << random.below(8);
      return copy;
    case 1:
      copy[at] = random.pick([0, 1, 0x20, 0x22, 0x2c, 0x5b, 0x7b, 0x7d, 0x7f, 0x80, 0xff]);
      return copy;
    case 2:
      return copy.slice(0, at);
    case 3: {
      const length = random.below(24);
      return Uint8Array.of(...copy.slice(0, at), ...copy.slice(at + length));
    }
    case 4: {
      const part = copy.slice(at, at + 1 + random.below(24));
      return Uint8Array.of(...copy.slice(0, at), ...part, ...copy.slice(at));
    }
    case 5:
      return Uint8Array.of(...copy, ...new Uint8Array(1 + random.below(40)));
    default: {
      const view = new DataView(copy.buffer), place = Math.max(0, Math.min(at, copy.length - 8));
      if (copy.length >= 8) view.setBigUint64(place, random.pick(COUNTS), true);
      return copy;
    }
  }
}

/** A JSON value with one to three of its parts replaced, removed, doubled or moved. */
export function damageJson(value: unknown, random: Choices): unknown {
  const root = { root: structuredClone(value) };
  for (let n = 1 + random.below(3); n > 0; n--) damageOnce(root, random);
  return root.root;
}

function damageOnce(root: { root: unknown }, random: Choices): void {
  let holder: Record<string, unknown> = root, key = "root";
  // Deeper with each step, to a place where there is nothing below or chance says so.
  while (true) {
    const inner = holder[key];
    if (typeof inner !== "object" || inner === null) break;
    const keys = Object.keys(inner);
    if (keys.length === 0 || holder !== root && random.below(4) === 0) break;
    [holder, key] = [inner as Record<string, unknown>, random.pick(keys)];
  }
  const replacement = () => structuredClone(random.pick(VALUES));
  switch (random.below(5)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else if (holder !== root) delete holder[key];
      else holder[key] = replacement();
      break;
    case 1: {
      const others = Object.keys(holder);
      holder[key] = structuredClone(holder[random.pick(others)]);
      break;
    }
    case 2:
      if (Array.isArray(holder)) holder.push(structuredClone(holder[Number(key)]));
      else holder[`${key}_`] = replacement();
      break;
    default:
      holder[key] = replacement();
  }
}
