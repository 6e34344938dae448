/** Training runs against TRL's DPOTrainer and against float64 loops over the formulas of the modes. */
import { assert, assertEquals } from "@std/assert";
import betaDpoGolden from "../goldens/torch/beta_dpo.json" with { type: "json" };
import dpoGolden from "../goldens/torch/dpo.json" with { type: "json" };
import otherGolden from "../goldens/torch/dpo_other_reference.json" with { type: "json" };
import riskGolden from "../goldens/torch/risk.json" with { type: "json" };
import sftGolden from "../goldens/torch/sft.json" with { type: "json" };
import type { Json, LossMode, Metrics } from "../../losses/loss_mode.ts";
import { batchMargins } from "../../losses/margin.ts";
import betaDpo from "../../modes/beta_dpo.ts";
import dpo from "../../modes/dpo.ts";
import risk from "../../modes/risk.ts";
import sft from "../../modes/sft.ts";
import type { StepResult } from "../trainer/one_step.ts";
import { noteMargin } from "../assert_close.ts";
import { type Curve, trainCurve } from "./golden_curve.ts";
import { openForTests, printMarginsAtEnd } from "./small_engine.ts";
import { goldenModel, type GoldenName, goldenTest, readTensors } from "./torch_goldens.ts";

const gpu = await openForTests();
printMarginsAtEnd();

/** Largest difference of a step, and of the means over the run; times max(1, |value|). */
interface Tolerance {
  readonly max: number;
  readonly drift: number;
}

/** TRL's own for grad_norm; a float32 engine is 1e-6 to 1e-5 away from float64 in all of them. */
const TOLERANCES: Readonly<Record<string, Tolerance>> = {
  loss: { max: 1e-4, drift: 1e-5 },
  grad_norm: { max: 1e-2, drift: 1e-3 },
  learning_rate: { max: 1e-15, drift: 1e-15 },
  "rewards/chosen": { max: 1e-3, drift: 1e-4 },
  "rewards/rejected": { max: 1e-3, drift: 1e-4 },
  "rewards/margins": { max: 1e-3, drift: 1e-4 },
  "rewards/accuracies": { max: 0, drift: 0 },
  "logps/chosen": { max: 1e-3, drift: 1e-4 },
  "logps/rejected": { max: 1e-3, drift: 1e-4 },
};

/** |found - expected| <= tolerance, or tolerance * |expected| where that is larger. */
function near(found: number, expected: number, tolerance: number, group: string, place = ""): void {
  const error = Math.abs(found - expected);
  const allowed = tolerance * Math.max(1, Math.abs(expected));
  noteMargin(group, error === 0 ? 0 : error / allowed);
  assert(error <= allowed, `${group}, ${place}: found ${found}, expected ${expected}`);
}

function assertSteps(
  name: string,
  found: readonly StepResult[],
  expected: readonly Readonly<Record<string, number>>[],
): void {
  assertEquals(found.length, expected.length);
  for (const key of Object.keys(expected[0])) {
    const { max, drift } = TOLERANCES[key];
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const ours = found.map(({ metrics }) => metrics[key]);
    const theirs = expected.map((step) => step[key]);
    const group = `${name} steps`;
    ours.forEach((value, i) => near(value, theirs[i], max, group, `${key} of step ${i + 1}`));
    near(mean(ours), mean(theirs), drift, `${name} drift`, key);
  }
}

/** Weights after a run, in a few numbers of each tensor. */
interface Digest {
  readonly l2: number;
  readonly changeL2: number;
  readonly signedSums: readonly number[];
  readonly first: readonly number[];
}

/** -1 or 1 for each index, as the goldens' script takes them. */
function sign(index: number, shift: number): number {
  return 1 - 2 * ((Math.imul(index, 2654435761) >>> shift) & 1);
}

function assertDigests(name: string, { weights }: Curve, digests: object): void {
  const before = goldenModel("llama").weights;
  const l2 = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
  assertEquals(Object.keys(digests).sort(), [...weights.keys()].sort());
  for (const [tensor, digest] of Object.entries(digests) as [string, Digest][]) {
    const values = Float64Array.from(weights.get(tensor)!), start = before.get(tensor)!;
    const check = (found: number, expected: number, what: string) =>
      near(found, expected, 5e-4, `${name} weights`, `${what} of ${tensor}`);
    digest.first.forEach((value, i) => check(values[i], value, "first"));
    check(l2(values), digest.l2, "norm");
    check(l2(values.map((x, i) => x - start[i])), digest.changeL2, "norm of the change");
    // A sum over n weights whose errors are independent grows by sqrt(n).
    const size = Math.sqrt(values.length);
    digest.signedSums.forEach((sum, i) => {
      const found = values.reduce((total, x, k) => total + sign(k, 16 + i) * x, 0);
      check(found / size, sum / size, "signed sum");
    });
  }
}

/** What a training call decided, in the mode's own metrics. */
interface Decided {
  readonly margins: readonly number[];
  readonly beta: number;
  readonly weights: readonly number[] | undefined;
  readonly metrics: Metrics;
  readonly state: Json;
}

/** The mode, noting its decisions; `uniforms` are put in place of the trainer's. */
function watched(
  mode: LossMode,
  uniforms?: (call: number, i: number) => number,
): { mode: LossMode; calls: Decided[] } {
  const calls: Decided[] = [];
  return {
    calls,
    mode: {
      ...mode,
      decide(batch, state, options, context) {
        const uniform = (i: number) => uniforms!(context.microStep, i);
        const decision = mode.decide(batch, state, options, { ...context, uniform });
        calls.push({
          margins: [...batchMargins(batch)],
          beta: decision.beta as number,
          weights: decision.weights && [...decision.weights],
          metrics: decision.metrics,
          state: decision.state,
        });
        return decision;
      },
    },
  };
}

goldenTest("50 steps of dpo are those of TRL, and so are the weights they end in", async () => {
  const { settings, steps, finalWeights } = dpoGolden;
  const curve = await trainCurve(gpu, dpo, {
    settings,
    reference: settings.reference as GoldenName,
    options: { beta: settings.beta },
  });
  assertSteps("dpo", curve.steps, steps);
  near(curve.steps[0].metrics.loss, Math.LN2, 1e-6, "dpo steps", "first loss");
  const expected = readTensors("dpo_final.safetensors");
  assertEquals([...expected.keys()].sort(), [...curve.weights.keys()].sort());
  for (const [tensor, values] of expected) {
    curve.weights.get(tensor)!.forEach((x, i) => {
      // No weight is larger than 5: absolute, as it stands.
      const error = Math.abs(x - values[i]);
      noteMargin("dpo weights", error / 5e-4);
      assert(error <= 5e-4, `${tensor} [${i}] is ${x}, TRL's is ${values[i]}`);
    });
  }
  assertDigests("dpo", curve, finalWeights);
});

goldenTest("50 steps of dpo with another reference are those of TRL", async () => {
  const { settings, steps, finalWeights } = otherGolden;
  const curve = await trainCurve(gpu, dpo, {
    settings,
    reference: settings.reference as GoldenName,
    options: { beta: settings.beta },
  });
  assertSteps("dpo, other reference", curve.steps, steps);
  assertDigests("dpo, other reference", curve, finalWeights);
});

goldenTest("20 steps of sft are those of float64", async () => {
  const { settings, steps, finalWeights } = sftGolden;
  const curve = await trainCurve(gpu, sft, { settings });
  assertSteps("sft", curve.steps, steps);
  assertDigests("sft", curve, finalWeights);
});

/** Margins of each call, within 1e-3: they are differences of sums of up to 14 logps around -5. */
function assertMargins(
  name: string,
  calls: readonly Decided[],
  expected: readonly { readonly margins: readonly number[] }[],
): void {
  assertEquals(calls.length, expected.length);
  calls.forEach(({ margins }, call) => {
    margins.forEach((margin, i) => {
      near(margin, expected[call].margins[i], 1e-3, `${name} margins`, `call ${call}`);
    });
  });
}

goldenTest("50 steps of risk move tau and beta as float64 does", async () => {
  const { settings, steps, calls, finalWeights } = riskGolden;
  const { mode, calls: found } = watched(risk as LossMode);
  const curve = await trainCurve(gpu, mode, {
    settings,
    reference: "llama",
    options: settings.options,
  });
  assertMargins("risk", found, calls);
  calls.forEach((call, k) => {
    const { metrics, beta } = found[k];
    near(beta, call.beta_used, 1e-5, "risk beta", `call ${k}, used`);
    near(metrics["dpo/beta"], call.beta, 1e-5, "risk beta", `call ${k}, next`);
    assertEquals(metrics["risk/p_hat"], call.p_hat ?? undefined, `call ${k}`);
    if (call.p_hat === null) return;
    near(metrics["risk/tau"], call.tau!, 1e-5, "risk tau", `call ${k}`);
    near(metrics["risk/u_k"], call.u_k!, 1e-12, "risk u_k and s_k", `call ${k}`);
    near(metrics["risk/s_k"], call.s_k!, 1e-12, "risk u_k and s_k", `call ${k}`);
  });
  // After the warm-up, and only then, beta has moved.
  assertEquals(calls.filter(({ beta_used: beta }) => beta !== 0.1).length, 89);
  assertSteps("risk", curve.steps, steps);
  assertDigests("risk", curve, finalWeights);
});

goldenTest("50 steps of beta_dpo keep the pairs float64 keeps, at its beta", async () => {
  const { settings, steps, calls, finalWeights } = betaDpoGolden;
  const { mode, calls: found } = watched(
    betaDpo as LossMode,
    (call, i) => calls[call].uniforms[i],
  );
  const curve = await trainCurve(gpu, mode, {
    settings,
    reference: "llama",
    options: settings.options,
  });
  assertMargins("beta_dpo", found, calls);
  calls.forEach((call, k) => {
    const { metrics, beta, weights } = found[k];
    assertEquals(weights, call.mask.map((kept) => kept / call.kept), `call ${k}`);
    near(metrics["beta_dpo/M0"], call.M0, 1e-5, "beta_dpo M0", `call ${k}`);
    near(metrics["beta_dpo/sigma"], call.sigma, 1e-5, "beta_dpo sigma", `call ${k}`);
    near(metrics["beta_dpo/gap_mean"], call.gap_mean, 1e-5, "beta_dpo gap_mean", `call ${k}`);
    near(beta, call.beta_used, 1e-5, "beta_dpo beta_used", `call ${k}`);
    near(
      metrics["beta_dpo/gap_selected_mean"],
      call.gap_selected_mean,
      1e-5,
      "beta_dpo gap_selected_mean",
      `call ${k}`,
    );
  });
  assertSteps("beta_dpo", curve.steps, steps);
  assertDigests("beta_dpo", curve, finalWeights);
});
