import { assertEquals, assertThrows } from "@std/assert";
import { defaultOptions, exampleFiles } from "../../tools/example/files.ts";
import { parseOptions } from "../../tools/example/main.ts";

Deno.test("example options: defaults, and every option from the command line", () => {
  assertEquals(parseOptions([]), {
    options: defaultOptions,
    out: "examples",
    dataOnly: false,
  });
  const args = "--seed 7 --pairs=10 --heldout 5 --sft 20 --flipped 0.25 --out there --data-only"
    .split(" ");
  assertEquals(parseOptions(args), {
    options: { seed: 7, pairs: 10, heldout: 5, sft: 20, flipped: 0.25 },
    out: "there",
    dataOnly: true,
  });
});

Deno.test("example options: a wrong one is named with what it should be", () => {
  const wrong: [string[], string][] = [
    [["--pairs", "many"], '--pairs "many" is not a whole number from 0 on'],
    [["--pairs", "1.5"], '--pairs "1.5" is not a whole number from 0 on'],
    [["--seed="], '--seed "" is not a whole number from 0 on'],
    [["--flipped", "1.01"], '--flipped "1.01" is not a share from 0 to 1'],
    [["--pair", "3"], 'unknown argument "--pair"'],
  ];
  for (const [args, message] of wrong) assertThrows(() => parseOptions(args), RangeError, message);
});

Deno.test("example options: other data leaves the tokenizer and the model's files as they are", () => {
  const clean = exampleFiles(defaultOptions);
  const small = exampleFiles({ seed: 9, pairs: 3, heldout: 2, sft: 4, flipped: 0 });
  const changed = [...clean.keys()].filter((name) => clean.get(name) !== small.get(name));
  assertEquals(changed, ["preferences.jsonl", "preferences_heldout.jsonl", "sft.jsonl"]);
  assertEquals([...small.values()].slice(0, 3).map((text) => text.split("\n").length - 1), [
    3,
    2,
    4,
  ]);
});

Deno.test("example options: flipped labels change the training pairs and no other file", () => {
  const clean = exampleFiles(defaultOptions);
  const noisy = exampleFiles({ ...defaultOptions, flipped: 0.3 });
  const changed = [...clean.keys()].filter((name) => clean.get(name) !== noisy.get(name));
  assertEquals(changed, ["preferences.jsonl"]);
});
