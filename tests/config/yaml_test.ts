import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { parseConfig } from "../../trainer/config.ts";
import { ConfigError } from "../../trainer/error.ts";
import { messageOf, MINIMAL, parseWith } from "./minimal.ts";

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ["a repeated key", MINIMAL + "policy_name: b", /line 4: not valid YAML: .*duplicated/],
  ["two documents", MINIMAL + "---\nseed: 1", /not valid YAML: .*single document/],
  ["a cycle", MINIMAL + "samples: &a [*a]", /line 4: an alias refers to a value that contains it/],
  ["an unknown tag", MINIMAL + "seed: !!js/function 'x'", /line 4: not valid YAML: unknown/],
  ["binary data", MINIMAL + "run: !!binary aGk=", /line 4: expected plain values/],
  ["deep nesting", MINIMAL + "x: " + "[".repeat(20_000), /nest/],
  ["a tab", MINIMAL + "dpo_training:\n\tepochs: 1", /line 5: not valid YAML/],
  ["nothing", "", /the file is empty/],
  ["only comments", "# nothing\n", /the file is empty/],
  ["a list", "- 1", /expected keys and values/],
  ["a word", "train", /expected keys and values/],
  ["a novel", "# ".padEnd(2 ** 20 + 1, "x"), /longer than 1048576 characters/],
];
for (const [name, text, expected] of REFUSED) {
  Deno.test(`${name} is refused`, () => {
    const message = messageOf(() => parseConfig(text, { file: "x.yaml" }));
    assertStringIncludes(message, 'Cannot read config "x.yaml"');
    assertMatch(message, expected);
    assert(message.length < 400, "the message does not repeat the file");
  });
}

Deno.test("aliases that unfold into billions of values are refused quickly", () => {
  const level = (name: string, of: string) =>
    `${name}: &${name} [${Array(9).fill(of).join(",")}]\n`;
  const names = [..."abcdefghi"];
  const bomb = names.map((name, i) => level(name, i === 0 ? "x" : `*${names[i - 1]}`)).join("");
  const start = performance.now();
  assertMatch(messageOf(() => parseWith(bomb)), /more than 20000 values/);
  assert(performance.now() - start < 1000);
});

Deno.test("aliases and merge keys that stay small are read", () => {
  const { config } = parseWith(
    "dpo_training: &t\n  epochs: 3\n  batch_size: 4\nsft_training:\n  <<: *t\n  epochs: 5\n",
  );
  assertEquals(config.sft_training!.epochs, 5);
  assertEquals(config.sft_training!.batch_size, 4);
});

Deno.test("carriage returns and a byte order mark change nothing", () => {
  const plain = parseWith("seed: 5\n").config;
  const windows = ("\ufeff" + MINIMAL + "seed: 5\n").replaceAll("\n", "\r\n");
  assertEquals(parseConfig(windows, { file: "x.yaml" }).config, plain);
});

Deno.test("words that look like other types are named", () => {
  const message = (lines: string) => messageOf(() => parseWith(lines));
  assertStringIncludes(
    message("share_prompt: yes\n"),
    'expected true or false, got the text "yes"',
  );
  assertStringIncludes(message("share_prompt: 'True'\n"), "write it without quotes");
  assertStringIncludes(
    message("dpo_training:\n  run_name: 2024-01-01\n"),
    "got a date; to mean text, put it in quotes",
  );
  assertStringIncludes(
    message("dpo_training:\n  run_name: 12\n"),
    "got 12; to mean text, put it in quotes",
  );
  assertEquals(parseWith("share_prompt: False\n").config.share_prompt, false);
});

Deno.test("the text of the config as used reads as the same config", () => {
  const rich =
    "mode: risk\nloss_type: [sigmoid, sft]\nloss_weights: [1, 5e-7]\nmemory_budget: 3GB\n" +
    "save_total_limit: null\nrisk:\n  scope: step\nrisk_test:\n  delta: 0.2\nrollout:\n  x: 1\n";
  for (const lines of ["", rich, "mode: sft\n", "beta_dpo:\n  variant: official\n  later: 3\n"]) {
    const first = parseWith(lines, ["dpo_training.run_name='5e-7'"]);
    const second = parseConfig(first.text, { file: "again.yaml" });
    assertEquals(second.config, first.config);
    assertEquals(second.text, first.text);
    assertEquals(second.mode, first.mode);
  }
});

Deno.test("the config is frozen throughout", () => {
  const { config } = parseWith("loss_type: [sigmoid]\nreport_to: [jsonl]\nrisk:\n  scope: step\n");
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return 0;
    assert(Object.isFrozen(value));
    let count = 1;
    for (const member of Object.values(value)) count += visit(member);
    return count;
  };
  assert(visit(config) >= 8);
});

Deno.test("what is not set is not there, rather than there as undefined", () => {
  const { config } = parseWith("dpo_training:\n  run_name: null\n");
  assertEquals(Object.hasOwn(config.dpo_training!, "run_name"), false);
  assertEquals(Object.hasOwn(config, "risk_test"), false);
});

Deno.test("2,000 damaged configs end in a config or a ConfigError, nothing else", () => {
  const whole = MINIMAL +
    "dpo_training:\n  learning_rate: 5e-7\n  run_name: x\nrisk_test: {delta: 0.1}\n" +
    "samples: &s {prompts: 3}\nbeta_dpo:\n  mode_loss: risk\n";
  const piece = fc.constantFrom(
    ..."\n\t :-[]{}&*!|>'\"%@`#,?.0e~",
    "  ",
    "&s",
    "*s",
    "<<: ",
    ": ",
    ".nan",
  );
  const place = fc.nat({ max: whole.length });
  fc.assert(
    fc.property(place, fc.nat({ max: 8 }), fc.array(piece, { maxLength: 4 }), (at, cut, pieces) => {
      const text = whole.slice(0, at) + pieces.join("") + whole.slice(at + cut);
      try {
        parseConfig(text, { file: "x.yaml" });
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        assertStringIncludes(error.message, '"x.yaml"');
      }
    }),
    { numRuns: 2000, seed: 1 },
  );
});
