import { assertEquals, assertStringIncludes } from "@std/assert";
import { messageOf, parseWith } from "./minimal.ts";

const ERRORS: readonly (readonly [string, string])[] = [
  [
    "beta_update:\n  beta_min: 0.5\n  beta_max: 0.4",
    'line 5, key "beta_update.beta_min": "beta_min" (0.5) is above "beta_max" (0.4)',
  ],
  ["beta_update:\n  beta_min: 3", '"beta_min" (3) is above "beta_max" (2 by default)'],
  ["beta_update:\n  beta_max: 1e-4", 'key "beta_update.beta_max": "beta_min" (0.001 by default)'],
  [
    "beta_dpo:\n  bdpo_m: 0.9\n  m: 0.8",
    'line 6, key "beta_dpo.m": "bdpo_m" is 0.9 but "m" is 0.8; they are one option',
  ],
  [
    "loss_type: [sigmoid, sft]\nloss_weights: [1]",
    'line 5, key "loss_weights": expected one weight for each loss_type (2), got 1',
  ],
  ["loss_weights: [1, 2]", "expected one weight for each loss_type (1), got 2"],
  ["loss_weights: 0", "expected at least one weight above 0"],
  ["dataset2: 1\nbeta_update:\n  beta_min: 3", "2 problems"],
];
for (const [lines, expected] of ERRORS) {
  Deno.test(`${JSON.stringify(lines)} is refused`, () => {
    assertStringIncludes(messageOf(() => parseWith(lines)), expected);
  });
}

const NOTICES: readonly (readonly [string, string])[] = [
  ["  max_len: 512\n  max_length: 1024", '"dataset.max_length" (1024) holds'],
  [
    "  max_length: 100\n  max_prompt_length: 64\n  max_completion_length: 64",
    "(64 + 64 tokens) exceed 100",
  ],
  ["  max_prompt_length: 2000", "exceed 1024"],
  ["dpo_training:\n  hub_model_id: a/b", "nothing is uploaded"],
  ["beta_update:\n  beta_0: 3", '"beta_update.beta_0" (3) lies outside'],
  ["beta_dpo:\n  mode_loss: beta_dpo\n  min_beta: 0.2", '"beta_dpo.min_beta" (0.2) is above'],
];
for (const [lines, expected] of NOTICES) {
  Deno.test(`${JSON.stringify(lines)} gives a notice`, () => {
    const { notices } = parseWith(lines);
    assertEquals(notices.length, 1, notices.join("\n"));
    assertStringIncludes(notices[0], expected);
  });
}

Deno.test("what fits gives no notice", () => {
  const lines = "  max_len: 100\n  max_prompt_length: 50\n  max_completion_length: 50\n" +
    "max_steps: 11\ndpo_training:\n  warmup_steps: 10\nbeta_update:\n  beta_0: 2\n  beta_min: 2\n" +
    "loss_type: [sigmoid, sft]\nloss_weights: [0, 1]\nbeta_dpo:\n  bdpo_m: 0.9\n  m: 0.9\n  mode_loss: risk\n";
  assertEquals(parseWith(lines).notices, []);
});

Deno.test("a warm-up that is never over is the plan's to tell, which knows all steps", () => {
  assertEquals(parseWith("max_steps: 10\ndpo_training:\n  warmup_steps: 10").notices, []);
});

Deno.test("a value that is wrong in itself is not compared", () => {
  const message = messageOf(() => parseWith("beta_update:\n  beta_min: 1\n  beta_max: -.inf\n"));
  assertEquals(message.split("\n").length, 1, message);
  assertStringIncludes(message, 'line 6, key "beta_update.beta_max"');
});

Deno.test("folders stay inside the run's folder", () => {
  for (
    const folder of ["/tmp/x", "../x", "a/../../x", "C:/x", "a\\..\\x", "~/x", '"a\\0b"', '""']
  ) {
    const message = messageOf(() => parseWith(`dpo_training:\n  save_dir: ${folder}\n`));
    assertStringIncludes(message, 'line 5, key "dpo_training.save_dir": expected a');
  }
  assertEquals(
    parseWith("dpo_training:\n  save_dir: a/b..c\n").config.dpo_training!.save_dir,
    "a/b..c",
  );
});
