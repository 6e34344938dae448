import { assertEquals } from "@std/assert";
import { checkContract, type Finding } from "../../losses/contract.ts";
import type { LossMode, Options } from "../../losses/loss_mode.ts";

/** A small mode that keeps every promise: beta grows a little with each call. */
const good: LossMode<{ beta: number }> = {
  name: "good",
  help: "A mode for this test",
  version: 1,
  options: { rate: { type: "number", default: 0.1, min: 0, max: 1, help: "Growth" } },
  needs: () => ({ reference: "logps", scope: "micro", rows: "pairs" }),
  init: () => ({ beta: 0.1 }),
  decide: (_batch, { beta }, { rate }, { training }) => ({
    beta,
    state: training ? { beta: beta * (1 + (rate as number)) } : { beta },
    metrics: { "dpo/beta": beta },
  }),
};

/** The checks that find something wrong with `good` after a change. */
function broken(change: Partial<LossMode<{ beta: number }>>, options?: Options): string[] {
  const findings = checkContract({ ...good, ...change }, { fileName: "good", options });
  return [...new Set(findings.map((finding: Finding) => finding.check))];
}

Deno.test("checkContract() finds nothing wrong with a good mode", () => {
  assertEquals(checkContract(good, { fileName: "good" }), []);
  const ipo = [{ type: "ipo", weight: 1, options: {} }];
  assertEquals(checkContract(good, { fileName: "good", lossTypes: ipo }), []);
});

Deno.test("checkContract() finds a wrong name, help or version", () => {
  assertEquals(checkContract(good, { fileName: "other" }), [
    { check: "name", detail: '"good" is not the file\'s name "other"' },
  ]);
  assertEquals(broken({ name: "Good-1" }).includes("name"), true);
  assertEquals(broken({ help: "two\nlines" }), ["name"]);
  assertEquals(broken({ version: 0 }), ["name"]);
});

Deno.test("checkContract() finds a default out of its own range, and options that are unknown", () => {
  const rate = { type: "number", default: 2, max: 1, help: "Growth" } as const;
  assertEquals(broken({ options: { rate } }), ["options"]);
  assertEquals(broken({}, { speed: 1 }), ["options"]);
});

Deno.test("checkContract() finds a state that does not survive JSON", () => {
  const init = () =>
    new (class {
      beta = 0.1;
      get twice() {
        return 1;
      }
    })();
  const decide: typeof good.decide = (_b, state) => ({
    beta: "twice" in state ? 0.2 : 0.1,
    state,
    metrics: {},
  });
  assertEquals(broken({ init, decide }).includes("state"), true);
  const date: typeof good.decide = (_b, { beta }) => ({
    beta,
    state: { beta: new Date(0) as unknown as number },
    metrics: {},
  });
  assertEquals(broken({ decide: date }).includes("state"), true);
});

Deno.test("checkContract() finds a wrong derivative", () => {
  const loss = (factor: number): typeof good.loss => ({ chosen, size }) => ({
    loss: chosen.policy.reduce((sum, p) => sum + Math.sin(p), 0),
    perPair: chosen.policy.map(Math.sin),
    seeds: {
      chosen: chosen.policy.map((p) => factor * Math.cos(p)),
      rejected: new Float64Array(size),
    },
  });
  assertEquals(broken({ loss: loss(1) }), []);
  assertEquals(broken({ loss: loss(1 + 1e-6) }), ["gradient"]);
});

Deno.test("checkContract() finds a state that moves in evaluation", () => {
  const decide: typeof good.decide = (_b, { beta }) => ({
    beta,
    state: { beta: beta * 1.01 },
    metrics: {},
  });
  assertEquals(broken({ decide }), ["evaluation"]);
});

Deno.test("checkContract() finds sampling in evaluation", () => {
  const decide: typeof good.decide = (_b, state, _o, { uniform }) => ({
    beta: 0.1 + uniform(0),
    state,
    metrics: {},
  });
  assertEquals(broken({ decide }).includes("evaluation"), true);
});

Deno.test("checkContract() finds a hidden state", () => {
  let calls = 0;
  const decide: typeof good.decide = (_b, state) => ({
    beta: 0.1 + 0.001 * calls++,
    state,
    metrics: {},
  });
  assertEquals(broken({ decide }).includes("repeatable"), true);
});

Deno.test("checkContract() finds numbers that are not finite at extremes and at one pair", () => {
  const exponential: typeof good.loss = ({ chosen, size }) => ({
    loss: chosen.policy.reduce((sum, p) => sum + Math.exp(p), 0),
    perPair: chosen.policy.map(Math.exp),
    seeds: { chosen: chosen.policy.map(Math.exp), rejected: new Float64Array(size) },
  });
  assertEquals(broken({ loss: exponential }), ["finite"]);
  const single: typeof good.decide = ({ size }, state) => ({
    beta: 1 / (size - 1),
    state,
    metrics: {},
  });
  assertEquals(broken({ decide: single }), ["finite", "lengths"]);
});

Deno.test("checkContract() finds inputs changed in place", () => {
  const batch: typeof good.decide = (b, state) => {
    b.chosen.policy[0] += 1;
    return { beta: 0.1, state, metrics: {} };
  };
  assertEquals(broken({ decide: batch }).includes("inputs"), true);
  const state: typeof good.decide = (_b, kept) => {
    (kept as { beta: number }).beta += 0.1;
    return { beta: 0.1, state: kept, metrics: {} };
  };
  assertEquals(broken({ decide: state }).includes("inputs"), true);
});

Deno.test("checkContract() finds arrays of the wrong length", () => {
  const decide: typeof good.decide = (_b, state) => ({
    beta: 0.1,
    weights: new Float64Array(10).fill(0.1),
    state,
    metrics: {},
  });
  assertEquals(broken({ decide }), ["finite", "lengths"]);
});
