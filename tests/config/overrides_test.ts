import { assertEquals, assertStringIncludes } from "@std/assert";
import { messageOf, parseWith } from "./minimal.ts";

Deno.test("an override that is not section.key=value is refused", () => {
  for (const text of ["max_steps", "=3", "a..b=1", ".a=1", "a.=1"]) {
    assertEquals(
      messageOf(() => parseWith("", [text])),
      `Cannot read --set ${JSON.stringify(text)}: expected "section.key=value"`,
    );
  }
});

Deno.test("an override's value must be YAML, and its path must lead through sections", () => {
  assertStringIncludes(
    messageOf(() => parseWith("", ["max_steps=[1"])),
    'Cannot read --set "max_steps=[1", line 1: not valid YAML',
  );
  assertStringIncludes(
    messageOf(() => parseWith("", ["seed=&a [*a]"])),
    "an alias refers to a value that contains it",
  );
  assertStringIncludes(
    messageOf(() => parseWith("", ["policy_name.x=1"])),
    'Cannot apply --set "policy_name.x=1": "policy_name" is not a section',
  );
});

Deno.test("a wrong value names the override, not a line of the file", () => {
  assertEquals(
    messageOf(() => parseWith("dpo_training:\n  epochs: 1\n", ["dpo_training.epochs=x"])),
    'Cannot read config "x.yaml", --set "dpo_training.epochs=x", key "dpo_training.epochs": ' +
      'expected a whole number from 1 to 1000000, got the text "x"',
  );
});

Deno.test("an override changes nothing else", () => {
  const before = parseWith("dpo_training:\n  epochs: 3\n  batch_size: 4\n").config;
  const after = parseWith("dpo_training:\n  epochs: 3\n  batch_size: 4\n", [
    "dpo_training.epochs=5",
  ]);
  assertEquals<unknown>(after.config, {
    ...before,
    dpo_training: { ...before.dpo_training, epochs: 5 },
  });
});
