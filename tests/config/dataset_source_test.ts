import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../../trainer/config.ts";
import { messageOf } from "./minimal.ts";

/** The smallest config with these lines in `dataset`; the first one is line 3. */
const parse = (lines: string) =>
  parseConfig(`policy_name: models/a\ndataset:\n${lines}\n`, { file: "x.yaml" });

const MIX = `  mix:
    - dataset_name: a
      weight: 2
      columns: { prompt: instruction, chosen: out.0 }
    - { dataset_name: b, subset: "test[:10%]" }`;

Deno.test("a mix has sets with weights, splits and columns of their own", () => {
  const { config, text } = parse(MIX);
  const [a, b] = config.dataset.mix!;
  assertEquals(config.dataset.dataset_name, undefined);
  assertEquals([a.weight, a.subset, { ...a.columns }], [
    2,
    "train",
    { prompt: "instruction", chosen: "out.0" },
  ]);
  assertEquals([b.weight, b.subset, b.columns], [undefined, "test[:10%]", undefined]);
  // A config as it was used is read again.
  assertEquals(parseConfig(text, { file: "again" }).config, config);
});

const ERRORS: readonly (readonly [string, string])[] = [
  [
    "  seed: 1",
    'key "dataset.dataset_name": expected a file, a folder, a pattern or a dataset\'s name',
  ],
  [`  dataset_name: a\n${MIX}`, 'key "dataset.dataset_name": belongs to each set of "mix"'],
  [`${MIX}\n  subset: "train[:5]"`, 'line 8, key "dataset.subset": belongs to each set of "mix"'],
  ["  mix: []", "expected a list of sets"],
  ["  mix: { dataset_name: a }", "expected a list of sets"],
  ["  mix:\n    - weight: 1", 'key "dataset.mix.0.dataset_name": expected a file'],
  ["  mix:\n    - { dataset_name: a, weight: 0 }", "expected a number above 0"],
  ["  mix:\n    - { dataset_name: a, wieght: 1 }", 'did you mean "weight"?'],
  ["  dataset_name: a\n  columns: { promt: b }", 'did you mean "prompt"?'],
  ["  dataset_name: a\n  columns: { prompt: 1 }", "expected a column"],
  [
    '  dataset_name: a\n  split: test\n  subset: "dev[:5]"',
    'line 4, key "dataset.split": is "test", but "subset" takes rows of "dev"',
  ],
  [
    "  dataset_name: a\n  validation_name: b\n  validation_split: test",
    'key "dataset.validation_split": "validation_name" names held-out rows as well',
  ],
  ["  dataset_name: a\n  preference: best", 'expected one of "better", "safer"'],
];
for (const [lines, expected] of ERRORS) {
  Deno.test(`dataset ${JSON.stringify(lines)} is refused`, () => {
    assertStringIncludes(messageOf(() => parse(lines)), expected);
  });
}

Deno.test("a split beside a slice of it, or of train, is one split", () => {
  assertEquals(
    parse('  dataset_name: a\n  split: dev\n  subset: "dev[:5]"').config.dataset.split,
    "dev",
  );
  assertEquals(parse('  dataset_name: a\n  split: dev\n  subset: "train[:5]"').notices, []);
});
