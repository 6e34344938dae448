/**
 * NaN, infinities and 3e38 at every place that a training step goes through, on the GPU and on the
 * host: the run stops in the same step with an error of the right class that names it, no checkpoint
 * of that step is written, and the one before it goes on.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { LossMode } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import type { NamedTensor, TokenLogps } from "../../model/engine.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import dpo from "../../modes/dpo.ts";
import { diskOperations, type FileOperations } from "../../trainer/atomic_write.ts";
import { checkpointNames } from "../../trainer/checkpoint.ts";
import { NumbersError } from "../../trainer/error.ts";
import { liveReference } from "../../trainer/reference_cache.ts";
import type { RunEngine, TrainingRun } from "../../trainer/run.ts";
import { train } from "../../trainer/trainer.ts";
import {
  collect,
  engineOf,
  openForTests,
  randomModel,
  randomPairs,
  SMALL,
} from "../model/small_engine.ts";
import { fakeRun, FILES_ALLOWED, settings, withFolder } from "../trainer/fake_run.ts";

const gpu = await openForTests();
const model = randomModel({ ...SMALL, attentionBias: true }, 31);
const rows = randomPairs(5, 8, SMALL.vocabSize);
const used = new Set(
  rows.flatMap(({ prompt, answers }) => [...prompt, ...answers.flatMap((a) => [...a.ids])]),
);
const unused = [...Array(SMALL.vocabSize).keys()].find((id) => !used.has(id))!;
const EMBEDDING = "model.embed_tokens.weight";

/** The step that is poisoned. */
const STEP = 2;

interface Poisoned {
  /** Changes tensors of the policy before the step's forward pass. */
  readonly weights?: (value: number, last: boolean) => readonly NamedTensor[];
  readonly moments?: (value: number, last: boolean) => readonly NamedTensor[];
  readonly reference?: (value: number, last: boolean) => readonly NamedTensor[];
  readonly logps?: (scores: TokenLogps, value: number, last: boolean) => void;
  readonly seeds?: (seeds: Float32Array, value: number, last: boolean) => void;
  readonly mode?: (value: number, last: boolean) => LossMode;
  /** 3e38 does no harm here: it is an ordinary number of a place nobody looks at. */
  readonly harmlessWhenFinite?: boolean;
}

/** One value of a parameter replaced: the first or the last of it, or of one of its rows. */
function replaced(name: string, value: number, last: boolean, row?: number): NamedTensor {
  const data = model.weights.get(name)!.slice();
  const width = SMALL.hiddenSize;
  const [begin, end] = row === undefined ? [0, data.length] : [row * width, (row + 1) * width];
  data[last ? end - 1 : begin] = value;
  return { name, shape: [], data };
}

const one = (name: string, row?: number) => (value: number, last: boolean) => [
  replaced(name, value, last, row),
];

/** dpo that returns poison in one place of what it decides. */
function spoilt(change: (value: number, last: boolean) => Partial<LossMode>) {
  return (value: number, last: boolean): LossMode => ({
    ...dpo,
    name: "spoilt",
    ...change(value, last),
  });
}

const onStep = (optimizerStep: number) => optimizerStep === STEP - 1;

const PLACES: Readonly<Record<string, Poisoned>> = {
  "a matrix": { weights: one("model.layers.0.mlp.up_proj.weight") },
  "a norm": { weights: one("model.layers.1.input_layernorm.weight") },
  "a bias": { weights: one("model.layers.0.self_attn.v_proj.bias") },
  "the head": { weights: one("lm_head.weight") },
  "an embedding in use": { weights: one(EMBEDDING, [...used][0]) },
  "an embedding not in use": { weights: one(EMBEDDING, unused), harmlessWhenFinite: true },
  "a reference weight": { reference: one("model.layers.0.mlp.down_proj.weight") },
  "an Adam moment": {
    moments: (
      value,
      last,
    ) => [{ ...replaced(EMBEDDING, value, last), name: `exp_avg.${EMBEDDING}` }],
  },
  "a log-probability": {
    logps: ({ logps }, value, last) => logps[last ? logps.length - 1 : 0] = value,
  },
  "a gradient": { seeds: (seeds, value, last) => seeds[last ? seeds.length - 1 : 0] = value },
  "a mode's seed": {
    mode: spoilt((value, last) => ({
      loss(batch, _decision, _options) {
        const perPair = new Float64Array(batch.size).fill(Math.LN2);
        const chosen = new Float64Array(batch.size).fill(-0.05);
        if (poisonNow) chosen[last ? batch.size - 1 : 0] = value;
        return { loss: Math.LN2, perPair, seeds: { chosen, rejected: chosen.map((s) => -s) } };
      },
    })),
  },
  "a mode's state": {
    mode: spoilt((value) => ({
      init: () => ({ calls: 0 }),
      decide: (batch, state, options, context) => ({
        ...dpo.decide(batch, null, options, context),
        state: {
          calls: onStep(context.optimizerStep) ? value : (state as { calls: number }).calls + 1,
        },
      }),
    })),
    harmlessWhenFinite: true,
  },
};
/** Modes know no step in `loss`; the engine below says when the time has come. */
let poisonNow = false;

/** The engine as the trainer sees it, with something wrong in step `STEP`. */
function poisonedEngine(
  engine: LlamaEngine,
  reference: LlamaEngine,
  { poison, value, last }: { poison: Poisoned; value: number; last: boolean },
): RunEngine {
  let scores = 0;
  return new Proxy(engine as RunEngine, {
    get(target, key) {
      if (key === "score") {
        return async (...args: Parameters<RunEngine["score"]>) => {
          poisonNow = ++scores === STEP;
          if (poisonNow && poison.weights) await target.restore(poison.weights(value, last));
          if (poisonNow && poison.moments) await target.restore(poison.moments(value, last));
          if (poisonNow && poison.reference) await reference.restore(poison.reference(value, last));
          const found = await target.score(...args);
          if (poisonNow) poison.logps?.(found, value, last);
          return found;
        };
      }
      if (key === "learn") {
        return (examples: Parameters<RunEngine["learn"]>[0], seeds: Float32Array) => {
          if (poisonNow) poison.seeds?.(seeds, value, last);
          return target.learn(examples, seeds);
        };
      }
      const found = Reflect.get(target, key, target);
      return typeof found === "function" ? found.bind(target) : found;
    },
  });
}

function runOf(
  folder: string,
  engine: RunEngine,
  reference: LlamaEngine,
  mode: LossMode,
): TrainingRun {
  return fakeRun(mode, folder, {
    settings: {
      ...settings,
      batchSize: 8,
      gradientAccumulation: 1,
      warmupSteps: 0,
      maxSteps: STEP,
      saveSteps: 1,
      evalSteps: 0,
      evalAtStart: false,
    },
    engine: engine as never,
    reference: liveReference(reference),
    train: { length: rows.length, get: (i) => rows[i] },
    validation: undefined,
    marginLog: undefined,
    operations,
  });
}

const frozen = await engineOf(gpu, model, { optimizer: undefined });

/** The reference with its own weights: a test may have poisoned them. */
async function resetReference(): Promise<LlamaEngine> {
  await frozen.restore([...model.weights].map(([name, data]) => ({ name, shape: [], data })));
  return frozen;
}

/** Nothing here asks what is on the disk after a power loss. */
const operations: FileOperations = {
  ...diskOperations,
  syncFolder: () => Promise.resolve(),
  create: async (path) => {
    const file = await diskOperations.create(path);
    return {
      write: (bytes) => file.write(bytes),
      sync: () => Promise.resolve(),
      close: () => file.close(),
    };
  },
};

for (const [place, poison] of Object.entries(PLACES)) {
  Deno.test({
    name: `${place} that is not finite, or 3e38, ends the run in its step (needs files)`,
    ignore: !FILES_ALLOWED,
    async fn() {
      for (const value of [NaN, Infinity, -Infinity, 3e38]) {
        for (const last of [false, true]) {
          await withFolder(async (folder) => {
            const engine = await engineOf(gpu, model), reference = await resetReference();
            const mode = poison.mode?.(value, last) ?? (dpo as LossMode);
            const spoiled = poisonedEngine(engine, reference, { poison, value, last });
            const what = `${place}, ${value}, ${last ? "last" : "first"}`;
            let error: unknown;
            await train(runOf(folder, spoiled, reference, mode)).catch((thrown) => error = thrown);
            engine.destroy();
            const names = await checkpointNames(`${folder}/checkpoints`);
            if (value === 3e38 && poison.harmlessWhenFinite) {
              assertEquals(error, undefined, what);
              return;
            }
            assert(
              error instanceof NumbersError || error instanceof ModeError,
              `${what}: ${error}`,
            );
            assertMatch(error.message, /step 2|after optimizer step 1|the reference pass/, what);
            assertEquals(names, ["step-000001"], what);
            // In an engine of its own, as a new process has: gradients of the old one are poisoned.
            const fresh = await engineOf(gpu, model);
            poisonNow = false;
            const good = poison.mode?.(0, last) ?? (dpo as LossMode);
            const { summary } = await train({
              ...runOf(folder, fresh, await resetReference(), good),
              resume: "newest",
            });
            assertEquals(summary.steps, STEP, what);
            for (const [name, data] of await collect(fresh.weights())) {
              assert(data.every(Number.isFinite), `${what}: ${name} after resuming`);
            }
            fresh.destroy();
          });
        }
      }
    },
  });
}
