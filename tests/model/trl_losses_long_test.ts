/**
 * Ten optimizer steps with each of TRL's losses against TRL's own trainers: `trl_losses.json`, made
 * by `tools/goldens/trl_losses.py`. The models, rows and order are those of the other curves.
 */
import { assert, assertEquals } from "@std/assert";
import golden from "../goldens/torch/trl_losses.json" with { type: "json" };
import type { LossMode, Options, ScoreBatch } from "../../losses/loss_mode.ts";
import { pairLosses } from "../../losses/pair_losses.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import type { TrainingDataset } from "../../trainer/decision_set.ts";
import {
  liveReference,
  movingReference,
  type ReferenceLogps,
} from "../../trainer/reference_cache.ts";
import { noteMargin } from "../assert_close.ts";
import { labelledRows, pairRows, rotatedRows, trainSteps } from "./golden_curve.ts";
import { engineOf, openForTests, printMarginsAtEnd } from "./small_engine.ts";
import { goldenModel, goldenTest } from "./torch_goldens.ts";
import { answerLogps, chosenFor, ownMetrics, type TrlArguments } from "./trl_cases.ts";

const gpu = await openForTests();
printMarginsAtEnd();

const TOLERANCE = 1e-4;
const cases = golden.arguments as unknown as Readonly<Record<string, TrlArguments>>;
const curves = golden.curves as unknown as Readonly<Record<string, Record<string, number[]>>>;

/** What all runs share: a policy and a reference, put back to the start each time. */
let shared: { readonly engine: LlamaEngine; readonly frozen: LlamaEngine } | undefined;
Deno.test.afterAll(() => {
  shared?.engine.destroy();
  shared?.frozen.destroy();
});

async function opened() {
  if (shared) return shared;
  const model = goldenModel("llama");
  shared = {
    engine: await engineOf(gpu, model),
    frozen: await engineOf(gpu, model, { optimizer: undefined }),
  };
  return shared;
}

/** The reference of the goldens: the start's weights, scaled. */
async function openReference(
  { engine, frozen }: NonNullable<typeof shared>,
  { modifiers }: ReturnType<typeof chosenFor>,
): Promise<ReferenceLogps> {
  const { weights } = goldenModel("llama");
  const scale = golden.settings.referenceScale;
  // One product and one rounding, as in float32.
  await frozen.restore([...frozen.parameterShapes].map(([name, shape]) => ({
    name,
    shape,
    data: weights.get(name)!.map((w) => w * scale),
  })));
  return liveReference(frozen, {
    ldAlpha: modifiers?.ldAlpha,
    moving: movingReference(frozen, engine),
  });
}

/** The rows of a golden, as its mode is given them. */
function rowsFor(mode: LossMode, options: Options): TrainingDataset {
  const { rows, extra } = mode.needs(options);
  if (rows !== "unpaired") return pairRows;
  const dataset = labelledRows(golden.settings.labels);
  return extra === "mismatched" ? rotatedRows(dataset, golden.settings.batchSize) : dataset;
}

/** The weights of the start, and no memory of what was trained before. */
async function rewind(engine: LlamaEngine): Promise<void> {
  const { weights } = goldenModel("llama");
  await engine.restore([...engine.parameterShapes].flatMap(([name, shape]) => {
    const data = weights.get(name)!;
    const zeros = new Float32Array(data.length);
    return [
      { name, shape, data },
      { name: `exp_avg.${name}`, shape, data: zeros },
      { name: `exp_avg_sq.${name}`, shape, data: zeros },
    ];
  }));
}

/** The mode, keeping the batches it decides on. */
function watched(mode: LossMode): { mode: LossMode; batches: ScoreBatch[] } {
  const batches: ScoreBatch[] = [];
  return {
    batches,
    mode: {
      ...mode,
      decide(batch, ...rest) {
        batches.push(batch);
        return mode.decide(batch, ...rest);
      },
    },
  };
}

type Numbers = Readonly<Record<string, number>>;

/** Means of the micro-batches of each step that have a number, as TRL logs them. */
function meansOfSteps(perCall: readonly Numbers[], accumulation: number): Numbers[] {
  return Array.from({ length: perCall.length / accumulation }, (_, step) => {
    const calls = perCall.slice(step * accumulation, (step + 1) * accumulation);
    const keys = new Set(calls.flatMap((call) => Object.keys(call)));
    return Object.fromEntries([...keys].map((key) => {
      const values = calls.flatMap((call) => key in call ? [call[key]] : []);
      return [key, values.reduce((sum, value) => sum + value, 0) / values.length];
    }));
  });
}

/** What a run here logged in each step, by TRL's names, and the log-probabilities of its last. */
interface Found {
  readonly steps: readonly Numbers[];
  readonly answers: readonly number[];
}

async function trained(given: TrlArguments): Promise<Found> {
  const engines = await opened();
  const { engine } = engines;
  await rewind(engine);
  const { mode: chosen, ...choices } = chosenFor(given);
  const { mode, batches } = watched(chosen);
  const needsReference = chosen.needs(choices.options).reference !== "none";
  const reference = await openReference(engines, { mode, ...choices });
  const steps = await trainSteps(engine, mode, {
    ...choices,
    dataset: rowsFor(chosen, choices.options),
    settings: golden.settings,
    reference: needsReference ? reference : undefined,
    policyIsReference: false,
  });
  const { gradientAccumulation } = golden.settings;
  const answers = batches.slice(-gradientAccumulation)
    .flatMap((batch) => answerLogps(given, batch).flatMap((side) => [...side]));
  // Where TRL logs as the trainer here does, what it logs is compared.
  if (given.trainer === "DPOTrainer") {
    return { steps: steps.map(({ metrics }) => metrics), answers };
  }
  const own = meansOfSteps(batches.map((batch) => ownMetrics(given, batch)), gradientAccumulation);
  return { steps: steps.map(({ metrics }, step) => ({ ...metrics, ...own[step] })), answers };
}

/** Largest share of the tolerance, and where. */
function worstUse(
  given: TrlArguments,
  { steps, answers }: Found,
  expected: Readonly<Record<string, number[]>>,
) {
  let worst = { use: 0, place: "" };
  for (const [key, values] of Object.entries(expected)) {
    if (key === "nll_loss") continue; // TRL's own part of a loss that is compared as a whole
    // Summed without LD-DPO's weights, which a mode does not see; the logged means have them in.
    if (key === "answers" && given.ld_alpha !== undefined) continue;
    const name = key === "kl" ? "kto/kl" : key;
    const found = key === "answers" ? answers : steps.map((step) => step[name]);
    assertEquals(found.length, values.length, key);
    values.forEach((value, i) => {
      const error = Math.abs(found[i] - value);
      // The norm is clipped to 1: what counts is its relative error.
      const size = key === "grad_norm" ? Math.abs(value) : Math.max(1, Math.abs(value));
      // A number that is missing or no number is the worst of all.
      const use = Number.isNaN(error) ? Infinity : error / (TOLERANCE * size);
      if (use <= worst.use) return;
      worst = { use, place: `${key} [${i}] is ${found[i]}, TRL's is ${value}` };
    });
  }
  return worst;
}

Deno.test("every loss of TRL has a golden", () => {
  const types = Object.values(cases)
    .filter(({ trainer }) => trainer === "DPOTrainer")
    .flatMap(({ loss_type: types }) => types as readonly string[]);
  assertEquals([...new Set(types)].sort(), pairLosses.map(({ name }) => name).sort());
  assertEquals(Object.keys(curves), Object.keys(cases));
});

for (const [name, given] of Object.entries(cases)) {
  goldenTest(`ten steps of ${given.trainer} ${name} are those of TRL`, async () => {
    const found = await trained(given);
    const { use, place } = worstUse(given, found, curves[name]);
    noteMargin(`TRL ${name}`, use);
    assert(use <= 1, `${name} uses ${use.toPrecision(3)} of the tolerance: ${place}`);
  });
}
