import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import type { LossMode } from "../../losses/loss_mode.ts";
import betaDpo from "../../modes/beta_dpo.ts";
import dpo from "../../modes/dpo.ts";
import risk from "../../modes/risk.ts";
import sft from "../../modes/sft.ts";
import { ConfigError, NumbersError } from "../../trainer/error.ts";
import { optimizerStep } from "./one_step.ts";
import { liveReference } from "../../trainer/reference_cache.ts";
import simpo from "../../modes/simpo.ts";
import { readExamples } from "../../trainer/decision_set.ts";
import { train } from "../../trainer/trainer.ts";
import { FakeEngine } from "./fake_engine.ts";
import {
  fakeRun,
  FILES_ALLOWED,
  folderDigest,
  pairs,
  readLines,
  settings,
  startWeight,
  VOCABULARY,
  withFolder,
} from "./fake_run.ts";

const start = { step: 0, microStep: 0, totalSteps: 10, modeState: null };

function window(rows: number, batch: number) {
  return {
    epoch: 0,
    batches: Array.from(
      { length: rows / batch },
      (_, b) => Uint32Array.from({ length: batch }, (_, i) => b * batch + i),
    ),
  };
}

/** Gradient of one optimizer step over 8 rows, taken before clipping. */
async function gradientOf(mode: LossMode, batch: number, options = {}): Promise<Float64Array> {
  const run = fakeRun(mode, "", { options, policyIsReference: false });
  // Away from the reference, so that no margin is 0.
  run.engine.table.forEach((_, i, table) => table[i] = Math.cos(i));
  let gradient = new Float64Array();
  run.engine.onGradient = (current) => gradient = current.slice();
  await optimizerStep(run, window(8, batch), { ...start, modeState: mode.init(run.modeOptions) });
  return gradient;
}

function difference(a: Float64Array, b: Float64Array): number {
  const norm = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
  return norm(a.map((value, i) => value - b[i])) / norm(b);
}

Deno.test("8 micro-batches of 1 give the gradient of 1 batch of 8 within 1e-6 for dpo", async () => {
  const whole = await gradientOf(dpo, 8);
  assert(difference(await gradientOf(dpo, 1), whole) < 1e-6);
  assert(difference(await gradientOf(dpo, 2), whole) < 1e-6);
});

Deno.test("the gradient of a window is that of its mean loss", async () => {
  const run = fakeRun(dpo, "", { policyIsReference: false });
  run.engine.table.forEach((_, i, table) => table[i] = Math.cos(i));
  let gradient = new Float64Array();
  run.engine.onGradient = (current) => gradient = current.slice();
  const lossAt = async () =>
    (await optimizerStep(
      { ...run, settings: { ...settings, learningRate: 0 } },
      window(8, 4),
      start,
    )).metrics.loss;
  await lossAt();
  for (const i of [1, 9, 17, 30]) {
    const exact = gradient[i];
    const base = run.engine.table[i];
    const [up, down] = [Math.fround(base + 1 / 64), Math.fround(base - 1 / 64)];
    run.engine.table[i] = up;
    const high = await lossAt();
    run.engine.table[i] = down;
    const low = await lossAt();
    run.engine.table[i] = base;
    assertAlmostEquals((high - low) / (up - down), exact, 1e-4);
  }
});

Deno.test("a short last window divides by the micro-batches it has", async () => {
  const run = fakeRun(dpo, "", { settings: { ...settings, gradientAccumulation: 4 } });
  let gradient = new Float64Array();
  run.engine.onGradient = (current) => gradient = current.slice();
  await optimizerStep(run, window(4, 4), start);
  const single = gradient;
  await optimizerStep({ ...run, engine: copyOf(run.engine) }, window(4, 4), start);
  assert(single.some((value) => value !== 0));
  const other = fakeRun(dpo, "", { settings: { ...settings, gradientAccumulation: 1 } });
  other.engine.onGradient = (current) => gradient = current.slice();
  await optimizerStep(other, window(4, 4), start);
  assertEquals([...single], [...gradient]);
});

function copyOf(engine: FakeEngine): FakeEngine {
  return new FakeEngine(engine.vocabulary, (i) => engine.table[i]);
}

Deno.test("scope step decides once on the whole window and equals one batch of its size", async () => {
  const seen: { size: number; accumulation: number }[] = [];
  const spying: LossMode = {
    ...betaDpo,
    decide(batch, state, options, context) {
      seen.push({ size: batch.size, accumulation: context.accumulation });
      return betaDpo.decide(batch, state as never, options, context);
    },
  };
  const stepped = await gradientOf(spying, 2, { scope: "step", rho: 0.6 });
  assertEquals(seen, [{ size: 8, accumulation: 1 }]);
  const whole = await gradientOf(betaDpo, 8, { scope: "micro", rho: 0.6 });
  assertEquals([...stepped], [...whole]);
  const micro = await gradientOf(betaDpo, 2, { scope: "micro", rho: 0.6 });
  assert(difference(micro, whole) > 1e-3);
});

Deno.test("learning rate 0 and weight decay leave the weights bytewise", async () => {
  const run = fakeRun(dpo, "", { settings: { ...settings, learningRate: 0 } });
  const before = run.engine.table.slice();
  await optimizerStep(run, window(8, 4), start);
  assertEquals(run.engine.table, before);
});

Deno.test("metrics of a step are means over its pairs", async () => {
  const run = fakeRun(dpo, "", { policyIsReference: false });
  run.engine.table.forEach((_, i, table) => table[i] = Math.cos(i));
  const rows = { epoch: 0, batches: [Uint32Array.of(0, 1, 2), Uint32Array.of(3)] };
  const { metrics, pairs: count, margin, beta } = await optimizerStep(run, rows, start);
  const each = await Promise.all([0, 1, 2, 3].map(async (row) => {
    const single = fakeRun(dpo, "", { policyIsReference: false });
    single.engine.table.set(run.engine.table.map((_, i) => Math.cos(i)));
    return await optimizerStep(single, { epoch: 0, batches: [Uint32Array.of(row)] }, start);
  }));
  const mean = (name: string) => each.reduce((sum, one) => sum + one.metrics[name] / 4, 0);
  assertEquals(count, 4);
  for (const name of ["rewards/chosen", "rewards/accuracies", "rewards/margins", "logps/chosen"]) {
    assertAlmostEquals(metrics[name], mean(name), 1e-12);
  }
  assertAlmostEquals(margin!, each.reduce((sum, one) => sum + one.margin! / 4, 0), 1e-12);
  assertAlmostEquals(beta!, 0.1, 1e-12);
  // The loss counts each micro-batch the same, as the gradient does.
  const losses = each.map((one) => one.metrics.loss);
  assertAlmostEquals(
    metrics.loss,
    ((losses[0] + losses[1] + losses[2]) / 3 + losses[3]) / 2,
    1e-12,
  );
});

Deno.test("policy = reference starts at margin 0 and loss ln 2, anything else is refused", async () => {
  const run = fakeRun(dpo, "");
  const { metrics, margin } = await optimizerStep(run, window(8, 4), start);
  assertEquals(margin, 0);
  assertAlmostEquals(metrics.loss, 0.6931471805599453, 1e-15);
  const other = fakeRun(dpo, "", {
    reference: liveReference(
      new FakeEngine(VOCABULARY, (i) => startWeight(i) + (i === 8 ? 1e-6 : 0)),
    ),
  });
  await assertRejects(
    () => optimizerStep(other, window(8, 4), start),
    Error,
    "yet before the first step the margin is",
  );
  // Where the numbers came from a file, that file is named.
  const cached = { ...other, reference: { ...other.reference!, path: "cache/abc.logps" } };
  await assertRejects(
    () => optimizerStep(cached, window(8, 4), start),
    Error,
    'delete "cache/abc.logps" and start again',
  );
});

Deno.test("non-finite logps, seeds and gradients end the step by name", async () => {
  const logps = fakeRun(dpo, "");
  logps.engine.onScore = (values) => values[6] = NaN;
  await assertRejects(
    () => optimizerStep(logps, window(4, 4), { ...start, step: 6 }),
    NumbersError,
    "step 7: the policy's log-probability of the rejected answer of row 1",
  );
  const gradient = fakeRun(dpo, "");
  gradient.engine.onGradient = (values) => values[3] = Infinity;
  await assertRejects(
    () => optimizerStep(gradient, window(4, 4), { ...start, step: 6 }),
    NumbersError,
    'step 7: the gradient norm is "Infinity", first in tensor "bigram.weight"',
  );
  const huge: LossMode = {
    ...sft,
    loss: (batch) => ({
      loss: 0,
      perPair: new Float64Array(batch.size),
      seeds: { chosen: new Float64Array(batch.size).fill(1e300) },
    }),
  };
  await assertRejects(
    () => optimizerStep(fakeRun(huge, ""), window(4, 4), start),
    NumbersError,
    'seed of row 0 is "Infinity" in float32',
  );
});

Deno.test({
  name: "each mode trains: the loss falls, metrics.jsonl has every step once (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    for (const mode of [dpo, betaDpo, risk, sft] as LossMode[]) {
      await withFolder(async (folder) => {
        const run = fakeRun(mode, folder, { settings: { ...settings, epochs: 20 } });
        const { summary } = await train(run);
        const lines = readLines(`${folder}/metrics.jsonl`);
        assertEquals(lines.map((line) => line.step), Array.from({ length: 61 }, (_, i) => i));
        assertEquals(summary.steps, 60);
        assert((lines[60].loss as number) < 0.8 * (lines[1].loss as number), mode.name);
        assertAlmostEquals(lines[60].learning_rate as number, settings.learningRate / 58, 1e-15);
        assertEquals(lines[1].epoch, 8 / 22);
        assertEquals(lines[3].epoch, 1);
        assertEquals(lines[2].eval_loss, undefined);
        assert((lines[60].eval_loss as number) < (lines[0].eval_loss as number), mode.name);
      });
    }
  },
});

Deno.test({
  name: "the same run writes the same bytes (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    const digests: Record<string, string>[] = [];
    for (let i = 0; i < 2; i++) {
      await withFolder(async (folder) => {
        await train(fakeRun(betaDpo, folder, { options: { rho: 0.7 } }));
        digests.push(await folderDigest(folder));
      });
    }
    assertEquals(Object.keys(digests[0]).length, 12);
    assertEquals(digests[0], digests[1]);
  },
});

Deno.test({
  name: "margin logs hold every pair of a step once, with rows and beta (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    await withFolder(async (folder) => {
      await train(fakeRun(risk, folder, { options: { beta_warmup: 1, alpha: 0.1 } }));
      const lines = readLines(`${folder}/logs/margins/margins.jsonl`);
      assertEquals(lines.map(({ epoch, step }) => [epoch, step]), [
        [0, 1],
        [0, 2],
        [0, 3],
        [1, 4],
        [1, 5],
        [1, 6],
      ]);
      const epoch = lines.slice(0, 3).flatMap((line) => line.rows as number[]);
      assertEquals(epoch.toSorted((a, b) => a - b), Array.from({ length: 22 }, (_, i) => i));
      // Beta moves between the two micro-batches of a window: one number for each pair.
      assertEquals((lines[4].beta_used as number[]).length, 8);
      assertEquals((lines[4].sample as number[]).length, 3);
      const npy = await Deno.readFile(`${folder}/logs/margins/${lines[4].npy}`);
      assertEquals(lines[4].npy, "epoch_001/step_00005.npy");
      const values = new Float32Array(npy.buffer, 128, 8);
      assertAlmostEquals(values[1], (lines[4].sample as number[])[1], 1e-6);
    });
  },
});

Deno.test("a run that cannot give its mode what it needs is refused", async () => {
  const refused = (changes: Parameters<typeof fakeRun>[2], text: string, mode: LossMode = dpo) =>
    assertRejects(() => train(fakeRun(mode, "", changes)), ConfigError, text);
  await refused({ reference: undefined }, "needs a reference model");
  await refused({ train: pairs(0) }, "no training rows");
  const needs = { reference: "none", scope: "micro", rows: "unpaired" } as const;
  await refused({}, '"gold" sequences', {
    ...dpo,
    needs: () => ({ ...needs, rows: "pairs", extra: "gold" }),
  });
  const sync = { referenceSync: { steps: 2, alpha: 0.5 } };
  await refused({ modifiers: sync }, "its reference cannot be moved");
  await refused({ modifiers: sync }, '"sync_ref_model" does not go with it', simpo as LossMode);
  await refused({ modifiers: { useWeighting: true } }, "a loss of its own", simpo as LossMode);
  const aot = [{ type: "aot", weight: 1, options: {} }];
  await refused({ modifiers: { useWeighting: true }, lossTypes: aot }, '"aot" sorts its batch');
  const sft = [{ type: "sft", weight: 1, options: {} }];
  await refused({ modifiers: { ldAlpha: 0.5 }, lossTypes: sft }, '"ld_alpha" does not go with it');
});

Deno.test("rows without a label are refused where the mode needs one", async () => {
  const { train: rows } = fakeRun(dpo, "");
  await assertRejects(() => readExamples(rows, [0], "unpaired"), ConfigError, "has no label");
});
