import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { lineOf } from "../../trainer/config/locate.ts";
import { messageOf, MINIMAL, parseWith } from "./minimal.ts";

Deno.test("a misspelt key: file, line, path and the nearest name", () => {
  assertEquals(
    messageOf(() =>
      parseWith("# comment\ndpo_training:\n  batch_size: 4\n\n  learnig_rate: 1e-6\n")
    ),
    'Cannot read config "x.yaml", line 8, key "dpo_training.learnig_rate": ' +
      'unknown key, did you mean "learning_rate"?',
  );
});

const MISSPELT: readonly (readonly [string, string])[] = [
  ["precission: f32", "precision"],
  ["dpo_trainning:\n  epochs: 1", "dpo_training"],
  ["beta_update:\n  gama: 1", "gamma"],
  ["risk_test:\n  Delta: 0.1", "delta"],
  ["margin_log:\n  save_per_ranks: true", "save_per_rank"],
  ["optimizer:\n  beta_1: 0.9", "beta1"],
  ["samples:\n  max_new_token: 3", "max_new_tokens"],
  ["rolout: {}", "rollout"],
  ["mode: dpo\nbeta_dpo:\n  mod_loss: risk", "mode_loss"],
];
for (const [lines, nearest] of MISSPELT) {
  Deno.test(`"${lines.split("\n").at(-1)!.trim()}" suggests "${nearest}"`, () => {
    assertStringIncludes(messageOf(() => parseWith(lines)), `did you mean "${nearest}"?`);
  });
}

Deno.test("a known key in the wrong section says where it belongs", () => {
  assertStringIncludes(
    messageOf(() => parseWith("dpo_training:\n  max_steps: 3")),
    'line 5, key "dpo_training.max_steps": unknown key here; it belongs to the top level',
  );
  assertStringIncludes(
    messageOf(() => parseWith("risk_test:\n  gamma: 3")),
    'it belongs to "beta_update"',
  );
});

Deno.test("keys that every object inherits are unknown keys like any other", () => {
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assertStringIncludes(
      messageOf(() => parseWith(`${key}:\n  policy_name: b\n`)),
      `line 4, key "${key}": unknown key`,
    );
    assertStringIncludes(
      messageOf(() => parseWith("", [`${key}.x=1`])),
      `key "${key}": unknown key`,
    );
  }
  assertEquals(({} as Record<string, unknown>).x, undefined);
});

Deno.test("everything wrong is listed at once, in the order of the file", () => {
  const message = messageOf(() =>
    parseWith(
      "optimizer:\n  nam: adamw\nfoo_bar_baz: 1\ndpo_training:\n  batch_size: '4'\n" +
        "beta_update: {beta_min: 3, gama: 1}\nmode: Mod\n",
      ["samples.promts=3"],
    )
  );
  assertEquals(
    message.split("\n").map((line) => line.replace(/(: .*)/, "")),
    [
      'Cannot read config "x.yaml", 7 problems:',
      '  line 5, key "optimizer.nam"',
      '  line 6, key "foo_bar_baz"',
      '  line 8, key "dpo_training.batch_size"',
      '  line 9, key "beta_update.gama"',
      '  line 9, key "beta_update.beta_min"',
      '  line 10, key "mode"',
      '  --set "samples.promts=3", key "samples.promts"',
    ].map((line) => line.replace(/(: .*)/, "")),
  );
  assertMatch(message, /got the text "4"; write it without quotes/);
});

Deno.test("a flood of problems is cut short", () => {
  const lines = Array.from({ length: 500 }, (_, i) => `key_${i}: 1\n`).join("");
  const message = messageOf(() => parseWith(lines));
  assertEquals(message.split("\n").length, 22);
  assertStringIncludes(message, "and 480 more");
});

Deno.test("a missing key and a section of the wrong kind are said as such", () => {
  assertStringIncludes(
    messageOf(() => parseWith("dpo_training: 3\n")),
    'line 4, key "dpo_training": expected a section, got 3',
  );
  const [policy] = MINIMAL.split("\n");
  assertStringIncludes(
    messageOf(() => parseWith("", ["policy_name="])),
    `--set "policy_name=", key "policy_name": expected a model folder or name, got null`,
  );
  assert(policy.startsWith("policy_name"));
});

Deno.test("lines of keys in all the ways YAML writes them", () => {
  const text = [
    "%YAML 1.2", // 1
    "---", // 2
    "# b: 1", // 3
    '"a": &x', // 4
    "    text: |", // 5
    "      b: not a key", // 6
    "    'b' : 2", // 7
    "list:", // 8
    "- one", // 9
    "- k: 1", // 10
    "flow: {b: 1, c: {d: 2}, e:", // 11
    "  {y: 1}, f: {b: 3}}", // 12
    "url: http://c: d", // 13
    "c:", // 14
    "      # b: not here", // 15
    "  ", // 16
    "  b: 1", // 17
    "alias: *x", // 18
  ].join("\r\n");
  const lines = (...paths: string[]) => paths.map((path) => lineOf(text, path.split(".")));
  assertEquals(lines("a", "a.text", "a.b", "list.0", "list.1", "c", "c.b"), [
    4,
    5,
    7,
    9,
    10,
    14,
    17,
  ]);
  assertEquals(lines("flow.b", "flow.c.d", "flow.e", "flow.f.b", "flow.f.z"), [11, 11, 11, 12, 12]);
  // What is not written stands where its parent does; what has none has no line.
  assertEquals(lines("alias.b", "c.z", "b"), [18, 14, undefined]);
  assertEquals(lineOf("{a: 1,\n b: {c: 2}}", ["b", "c"]), 2);
});
