/** The true results of a finished run of the world: opens its model and measures it. */
import type { Gpu } from "../../gpu/device.ts";
import type { TextTokenizer } from "../../data/tokenizer.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import { modelDir, openTokenizer, pretrainedModel } from "../../commands/model_source.ts";
import {
  answerLogps,
  type Answers,
  describeAnswers,
  type MeasureSettings,
  sampleAnswers,
  SAMPLING_SEEDS,
} from "../world/measure.ts";

/** Tokens that the chunks of a measuring engine hold. */
const CHUNK_TOKENS = 4096;

/** A model for measuring: it scores and answers, and does not learn. */
async function openModel(gpu: Gpu, dir: string): Promise<LlamaEngine> {
  const source = pretrainedModel(dir);
  try {
    return await source.load(gpu, {
      budget: 2 ** 30,
      tokens: CHUNK_TOKENS,
      scored: CHUNK_TOKENS,
      leastTokens: 64,
      leastScored: 64,
      sharePrompt: true,
      storage: "f32",
    });
  } finally {
    source.close();
  }
}

/**
 * Measures runs that start from one model: the reference stays on the device, and its own answers are
 * sampled once.
 */
export class WorldMeter {
  readonly #gpu: Gpu;
  readonly #settings: MeasureSettings;
  readonly #reference: LlamaEngine;
  readonly #tokenizer: TextTokenizer;
  #answers: Answers | undefined;

  private constructor(
    gpu: Gpu,
    settings: MeasureSettings,
    reference: LlamaEngine,
    tokenizer: TextTokenizer,
  ) {
    this.#gpu = gpu;
    this.#settings = settings;
    this.#reference = reference;
    this.#tokenizer = tokenizer;
  }

  /** `reference` is a model folder as a config names it. */
  static async open(gpu: Gpu, reference: string, settings: MeasureSettings): Promise<WorldMeter> {
    const dir = await modelDir(reference, "ref_name");
    const source = pretrainedModel(dir);
    source.close();
    return new WorldMeter(gpu, settings, await openModel(gpu, dir), openTokenizer(source));
  }

  /** The true results of the model in a folder. */
  async measure(model: string): Promise<Record<string, number>> {
    const policy = await openModel(this.#gpu, model);
    try {
      const tokenizer = this.#tokenizer, settings = this.#settings;
      this.#answers ??= await sampleAnswers(
        this.#reference,
        tokenizer,
        settings,
        SAMPLING_SEEDS.reference,
      );
      const answers = await sampleAnswers(policy, tokenizer, settings, SAMPLING_SEEDS.policy);
      const end = { eosId: tokenizer.eosId, maxNewTokens: settings.max_new_tokens };
      const logps = {
        policy: await answerLogps(policy, answers, end),
        reference: await answerLogps(this.#reference, answers, end),
      };
      return describeAnswers(answers, this.#answers, logps, settings.samples);
    } finally {
      policy.destroy();
    }
  }
}
