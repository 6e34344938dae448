import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../../trainer/config.ts";
import { messageOf, MINIMAL, parseWith } from "./minimal.ts";

const CHOICES: readonly (readonly [string, string, number])[] = [
  ["", "risk", 0],
  ["mode: dpo", "dpo", 0],
  ["mode: my_mode", "my_mode", 0],
  ["mode: null", "risk", 0],
  ["risk_test:\n  delta: 0.1", "risk", 0],
  ["beta_dpo:\n  rho: 0.8", "beta_dpo", 1],
  ["beta_dpo:", "beta_dpo", 1],
  ["beta_dpo:\n  rho: 0.8\nrisk_test:\n  delta: 0.1", "risk", 0],
  ["beta_dpo:\n  rho: 0.8\nrisk_test:", "risk", 0],
  ["beta_dpo:\n  mode_loss: beta_dpo\nrisk_test:\n  delta: 0.1", "beta_dpo", 0],
  ["beta_dpo:\n  mode_loss: RISK", "risk", 0],
  ["beta_dpo:\n  mode_loss: Beta_DPO", "beta_dpo", 0],
  ["beta_dpo:\n  mode_loss: null\n  rho: 0.5", "beta_dpo", 1],
  ["mode: risk\nbeta_dpo:\n  mode_loss: Risk", "risk", 0],
  ["mode: dpo\nbeta_dpo:\n  rho: 0.8", "dpo", 0],
];
for (const [lines, mode, notices] of CHOICES) {
  Deno.test(`${JSON.stringify(lines)} selects ${mode}`, () => {
    const parsed = parseWith(lines);
    assertEquals(parsed.mode, mode);
    assertEquals(parsed.config.mode, mode);
    assertEquals(parsed.notices.length, notices, parsed.notices.join("\n"));
  });
}

Deno.test("both spellings and different is an error at its line", () => {
  assertEquals(
    messageOf(() => parseWith("mode: sft\nbeta_dpo:\n  mode_loss: beta_dpo\n")),
    'Cannot read config "x.yaml", line 4, key "mode": "mode" is "sft" but "beta_dpo.mode_loss" is ' +
      '"beta_dpo"; keep one of them',
  );
  // The way out on the command line.
  const lines = "beta_dpo:\n  mode_loss: beta_dpo\n";
  assertEquals(parseWith(lines, ["mode=sft", "beta_dpo.mode_loss="]).mode, "sft");
});

Deno.test("names that cannot be a file of modes/ are refused", () => {
  for (
    const name of [
      "../evil",
      "npm:x",
      "https://x",
      "__proto__",
      "mod",
      '""',
      "Risk",
      "a-b",
      "1",
      "[a]",
    ]
  ) {
    const message = messageOf(() => parseWith(`mode: ${name}\n`));
    assertStringIncludes(message, 'line 4, key "mode": expected the name of a mode');
  }
  assertStringIncludes(messageOf(() => parseWith("mode: dataset\n")), "cannot be a mode");
  assertStringIncludes(
    messageOf(() => parseWith("beta_dpo:\n  mode_loss: simpo\n")),
    'line 5, key "beta_dpo.mode_loss": expected "risk" or "beta_dpo", got the text "simpo"',
  );
});

Deno.test("the section of the selected mode passes as written, and any other mode's is set aside", () => {
  const lines = "my_mode:\n  a: {b: [1, x]}\n";
  const { config } = parseWith("mode: my_mode\n" + lines);
  assertEquals(config.my_mode, { a: { b: [1, "x"] } });
  assertStringIncludes(messageOf(() => parseWith(lines)), 'line 4, key "my_mode": unknown key');
  const other = parseConfig(MINIMAL + lines, { file: "x.yaml", modes: ["my_mode"] });
  assertEquals(other.config.my_mode, undefined);
  assertEquals(other.notices, ['Section "my_mode" is not read: the mode is "risk"']);
  assertStringIncludes(
    messageOf(() => parseWith("mode: my_mode\nmy_mode: 3\n")),
    'line 5, key "my_mode": expected a section',
  );
  // A name that objects inherit is no section.
  assertEquals(Object.hasOwn(parseWith("mode: constructor\n").config, "constructor"), false);
});

Deno.test("keys of beta_dpo are checked, and those only the mode's table knows are passed on", () => {
  const { config } = parseWith("mode: beta_dpo\nbeta_dpo:\n  rho: 0.5\n  later: 3\n");
  assertEquals<unknown>(config.beta_dpo, { rho: 0.5, later: 3 });
  assertStringIncludes(
    messageOf(() => parseWith("mode: beta_dpo\nbeta_dpo:\n  rho: 2\n")),
    'line 6, key "beta_dpo.rho"',
  );
  assertStringIncludes(
    messageOf(() => parseWith("mode: risk\nbeta_dpo:\n  later: 3\n")),
    'line 6, key "beta_dpo.later": unknown key',
  );
});

Deno.test("sections of other tools give one notice", () => {
  const { notices, config } = parseWith("rollout:\n  engine: vllm\ndebug: true\n");
  assertEquals(notices, ['Sections "rollout" and "debug" of other tools are not read']);
  assertEquals(config.rollout, undefined);
});

Deno.test("a later check can report at a key with file and line", () => {
  const parsed = parseWith("mode: risk\nrisk:\n  scope: step\n");
  assertEquals(
    parsed.problem("risk.scope", "no such scope").message,
    'Cannot read config "x.yaml", line 6, key "risk.scope": no such scope',
  );
});
