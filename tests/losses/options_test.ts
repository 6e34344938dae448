import { assertEquals, assertThrows } from "@std/assert";
import type { OptionTable } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import { defaultOptions, readOptions, validateOptions } from "../../losses/options.ts";

const table: OptionTable = {
  rho: { type: "number", default: 0.8, above: 0, max: 1, help: "Share" },
  m: { type: "number", default: 0.9, min: 0, below: 1, from: ["box.old_m"], help: "Momentum" },
  beta: { type: "number", default: 0.1, from: ["beta_update.beta_0"], help: "Beta" },
  count: { type: "integer", default: 3, min: 0, help: "Count" },
  on: { type: "boolean", default: false, help: "Switch" },
  scope: { type: "string", default: "micro", choices: ["micro", "step"], help: "Scope" },
};

function failure(attempt: () => unknown): { message: string; path?: string } {
  const { message, path } = assertThrows(attempt, ModeError);
  return { message, path };
}

Deno.test("readOptions() takes its own place first, then the others, then the default", () => {
  assertEquals(readOptions("box", table, {}), defaultOptions(table));
  const shared = { beta_update: { beta_0: 0.3 }, box: null };
  assertEquals(readOptions("box", table, shared).beta, 0.3);
  assertEquals(readOptions("box", table, { ...shared, box: { beta: 0.7 } }).beta, 0.7);
  assertEquals(readOptions("box", table, { box: { old_m: 0.5 } }).m, 0.5);
  assertEquals(readOptions("box", table, { box: { old_m: 0.5, m: 0.5 } }).m, 0.5);
  // A key of the prototype is not an option.
  assertEquals(readOptions("constructor", table, {}), defaultOptions(table));
});

Deno.test("readOptions() refuses two spellings that differ, and names the path", () => {
  const { message, path } = failure(() =>
    readOptions("box", table, { box: { m: 0.5, old_m: 0.6 } })
  );
  assertEquals(path, "box.old_m");
  assertEquals(
    message,
    'Options "box.m" and "box.old_m" are two spellings of one option but differ: remove one',
  );
});

Deno.test("validateOptions() names an unknown key, its path and the nearest known one", () => {
  assertEquals(failure(() => validateOptions("box", table, { roh: 1 })), {
    message: 'Unknown option "box.roh": did you mean "box.rho"?',
    path: "box.roh",
  });
  assertEquals(validateOptions("box", table, { log_dir: "x" }, ["log_dir"]).rho, 0.8);
  assertThrows(() => readOptions("box", table, { box: [1] }), ModeError, 'Section "box"');
});

Deno.test("validateOptions() refuses every wrong type and every value out of range", () => {
  const wrong: [string, unknown, string][] = [
    ["rho", 0, 'Option "box.rho" is "0": expected more than 0'],
    ["rho", 1.5, 'Option "box.rho" is "1.5": expected at most 1'],
    ["rho", "0.8", 'Option "box.rho" is "0.8": expected a finite number'],
    ["rho", NaN, 'Option "box.rho" is "NaN": expected a finite number'],
    ["rho", Infinity, 'Option "box.rho" is "Infinity": expected a finite number'],
    ["rho", [1], 'Option "box.rho" is "[1]": expected a finite number'],
    ["m", -0.1, 'Option "box.m" is "-0.1": expected at least 0'],
    ["m", 1, 'Option "box.m" is "1": expected less than 1'],
    ["count", 2.5, 'Option "box.count" is "2.5": expected a whole number'],
    ["count", 2 ** 60, 'Option "box.count" is "1152921504606847000": expected a whole number'],
    ["on", 1, 'Option "box.on" is "1": expected true or false'],
    ["scope", true, 'Option "box.scope" is "true": expected text'],
    ["scope", "all", 'Option "box.scope" is "all": expected one of "micro", "step"'],
  ];
  for (const [name, value, message] of wrong) {
    const found = failure(() => validateOptions("box", table, { [name]: value }));
    assertEquals(found, { message, path: `box.${name}` });
  }
  const own = { rho: 1, m: 0, beta: -3, count: 0, on: true, scope: "step" };
  assertEquals(validateOptions("box", table, own), own);
});
