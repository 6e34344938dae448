/**
 * TRL's DPOTrainer in turn with this program: same shape, weights, ids, batch, f32, AdamW and clipping.
 * Ours has its reference cached after the first step, so the figure to compare is TRL's with
 * `precompute_ref_log_probs`; without it, and with TRL's fastest setting, gradients without
 * checkpointing, stand beside it.
 */
import type { Gpu } from "../../gpu/device.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { parameterList } from "../../model/param_table.ts";
import { randomWeights, type StepCase, STEPS } from "../cases.ts";
import { BenchRun, UPDATE } from "../step.ts";
import { median, peakBytes } from "../timing.ts";
import { numberOf, Peer } from "./peer.ts";

/** Timed steps, after one that is not. */
const ROUNDS = 2;

interface Variant {
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

export const VARIANTS: readonly Variant[] = [
  { name: "reference precomputed", settings: { precompute_ref_log_probs: true } },
  { name: "defaults", settings: {} },
  {
    name: "reference precomputed, no checkpointing",
    settings: { precompute_ref_log_probs: true, gradient_checkpointing: false },
  },
];

export interface TrlVariant {
  readonly name: string;
  readonly pairs_per_s: number;
  /** Ours by theirs, measured in turn. */
  readonly ratio: number;
  readonly peak_bytes: number;
  /** The largest difference of the losses of the same step. */
  readonly loss_difference: number;
  /** Its last step's; far enough from the first one's, ln 2, for the difference to mean something. */
  readonly last_loss: number;
  readonly versions: unknown;
}

export interface TrlResult {
  /** The first variant's. */
  readonly pairs_per_s: number;
  readonly ratio: number;
  readonly peak_bytes: number;
  readonly loss_difference: number;
  readonly variants: readonly TrlVariant[];
  readonly ours: { readonly pairs_per_s: number; readonly peak_bytes: number };
}

/** Sends a job: what the Python script reads before its first step. */
async function sendJob(peer: Peer, test: StepCase, run: BenchRun, variant: Variant): Promise<void> {
  const config = parseArchitecture(JSON.stringify(test.config), test.model);
  const parameters = parameterList(config).map(({ name, shape }) => [name, shape] as const);
  const settings = {
    learning_rate: UPDATE.learningRate,
    adam_epsilon: UPDATE.eps,
    weight_decay: UPDATE.weightDecay,
    max_grad_norm: UPDATE.maxGradNorm,
    beta: 0.1,
    ...variant.settings,
  };
  const pairs = run.examples.map(({ prompt, answers }) => ({
    prompt_ids: [...prompt],
    chosen_ids: [...answers[0].ids],
    rejected_ids: [...answers[1].ids],
  }));
  await peer.send(JSON.stringify({ config: test.config, parameters, pairs, settings }) + "\n");
  for (const [name, shape] of parameters) {
    await peer.send(new Uint8Array(randomWeights(name, shape).buffer));
  }
}

/** Our steps so far: their losses are compared with a peer's by the step's number. */
class Ours {
  readonly losses: number[] = [];
  readonly seconds: number[] = [];

  constructor(readonly run: BenchRun) {}

  async step(): Promise<number> {
    const start = performance.now();
    this.losses.push(await this.run.step());
    // The peer has the machine to itself.
    await this.run.finish();
    const seconds = (performance.now() - start) / 1000;
    // The first compiles.
    if (this.losses.length > 1) this.seconds.push(seconds);
    return seconds;
  }
}

async function measureVariant(
  python: string,
  test: StepCase,
  makeOurs: () => Promise<Ours>,
  variant: Variant,
): Promise<TrlVariant> {
  const script = new URL("trl_step.py", import.meta.url).pathname;
  const peer = Peer.start(python, [script]);
  try {
    // Says first whether it is there at all.
    const { versions } = await peer.answer(), ours = await makeOurs();
    await sendJob(peer, test, ours.run, variant);
    await peer.answer();
    const own: number[] = [], theirs: number[] = [], losses: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const seconds = await ours.step();
      const step = await peer.ask("step");
      losses.push(numberOf(step, "loss"));
      if (round === 0) continue;
      own.push(seconds);
      theirs.push(numberOf(step, "seconds"));
    }
    const peak_bytes = numberOf(await peer.ask("end"), "peak_bytes");
    const differences = losses.map((loss, i) => Math.abs(loss - ours.losses[i]));
    return {
      name: variant.name,
      pairs_per_s: test.rows.length / median(theirs),
      ratio: median(theirs) / median(own),
      peak_bytes,
      loss_difference: Math.max(...differences),
      last_loss: losses.at(-1)!,
      versions,
    };
  } finally {
    await peer.stop();
  }
}

export async function benchTrl(
  gpu: Gpu,
  options: {
    readonly python: string;
    readonly budget: number;
    readonly say: (line: string) => void;
  },
  test: StepCase = STEPS.find(({ model, kind }) => model === "SmolLM2-135M" && kind === "dpo")!,
  variants = VARIANTS,
): Promise<TrlResult> {
  let ours: Ours | undefined;
  const makeOurs = async () => ours ??= new Ours(await BenchRun.create(gpu, test, options.budget));
  const results: TrlVariant[] = [];
  try {
    for (const variant of variants) {
      const result = await measureVariant(options.python, test, makeOurs, variant);
      results.push(result);
      options.say(
        `TRL, ${result.name}: ${result.pairs_per_s.toPrecision(3)} pairs/s, ours ` +
          `${result.ratio.toFixed(2)} times that; it held ${
            (result.peak_bytes / 1e9).toFixed(1)
          } GB; ` +
          `losses, from ln 2 to ${result.last_loss.toFixed(4)}, differ by at most ` +
          result.loss_difference.toExponential(1),
      );
    }
  } finally {
    ours?.run.engine.destroy();
  }
  const { pairs_per_s, ratio, peak_bytes, loss_difference } = results[0];
  const own = {
    pairs_per_s: test.rows.length / median((await makeOurs()).seconds),
    peak_bytes: peakBytes(),
  };
  return { pairs_per_s, ratio, peak_bytes, loss_difference, variants: results, ours: own };
}
