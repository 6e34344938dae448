/**
 * The fake engine with what every mode may ask for, and with so much padding in its weights that a
 * checkpoint takes long enough to be killed in.
 */
import type { NamedTensor, ScoreExtras, TokenizedExample, TokenLogps } from "../../model/engine.ts";
import type { MovingReference } from "../../trainer/reference_cache.ts";
import { FakeEngine } from "../trainer/fake_engine.ts";

/** 1 MiB each: a checkpoint writes them one by one. */
const PADDING_FLOATS = 2 ** 18;

export class PaddedEngine extends FakeEngine implements MovingReference {
  readonly #padding: number;
  readonly #values = new Float32Array(PADDING_FLOATS);
  /** Whose logits are mixed with this one's. */
  mixed?: FakeEngine;
  /** Whose weights this one follows. */
  followed?: FakeEngine;

  constructor(vocabulary: number, weight: (index: number) => number, padding: number) {
    super(vocabulary, weight);
    this.#padding = padding;
  }

  override async score(
    examples: readonly TokenizedExample[],
    extras: ScoreExtras = {},
  ): Promise<TokenLogps> {
    const scores = await super.score(examples);
    const { epsilon } = extras;
    if (epsilon === undefined) return scores;
    const other = this.mixed!;
    const mixture = async (own: number): Promise<Float32Array> => {
      const weight = (i: number) => own * this.table[i] + (1 - own) * other.table[i];
      return (await new FakeEngine(this.vocabulary, weight).score(examples)).logps;
    };
    const [reference, plus, minus] = [
      await mixture(0),
      await mixture(1 + epsilon),
      await mixture(1 - epsilon),
    ];
    return { ...scores, mix: { reference, plus, minus } };
  }

  /** The padding changes with the weights, so that a mixture of two checkpoints shows. */
  *#paddings(prefix: string): Iterable<NamedTensor> {
    for (let i = 0; i < this.#padding; i++) {
      const data = this.#values.fill(this.table[0] + i);
      yield { name: `${prefix}padding.${i}.weight`, shape: [PADDING_FLOATS], data };
    }
  }

  override async *weights(): AsyncIterable<NamedTensor> {
    yield* super.weights();
    yield* this.#paddings("");
  }

  override async *moments(): AsyncIterable<NamedTensor> {
    let stepped = false;
    for await (const tensor of super.moments()) {
      stepped = true;
      yield tensor;
    }
    if (!stepped) return;
    yield* this.#paddings("exp_avg.");
    yield* this.#paddings("exp_avg_sq.");
  }

  override async restore(
    tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>,
  ): Promise<void> {
    for await (const tensor of tensors) {
      if (tensor.name.includes("padding.")) this.#check(tensor);
      else await super.restore([tensor]);
    }
  }

  /** Weights come before moments, and the table before its padding. */
  #check({ name, data }: NamedTensor): void {
    const i = Number(/padding\.(\d+)/.exec(name)![1]);
    const expected = Math.fround(this.table[0] + i);
    if (data.every((value) => value === expected)) return;
    throw new Error(`"${name}" is of another checkpoint than the weights`);
  }

  blend(alpha: number): void {
    const { table } = this.followed!;
    for (let i = 0; i < table.length; i++) {
      this.table[i] = Math.fround((1 - alpha) * this.table[i] + alpha * table[i]);
    }
  }
}
