/** What the bench runs: model shapes with random weights, and the lengths of the rows of a step. */
import type { TokenizedExample } from "../model/engine.ts";
import { HH_LENGTHS } from "./hh_lengths.ts";

/** Tokens of a prompt and of each of its answers. */
export type RowLengths = readonly [prompt: number, ...answers: number[]];

export interface StepCase {
  readonly model: string;
  readonly kind: "dpo" | "sft";
  /** What a reader must know beside model and kind. */
  readonly note: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly rows: readonly RowLengths[];
  /** Timed steps, after one that is not. */
  readonly rounds: number;
  /** Run only when everything is asked for. */
  readonly full?: boolean;
}

function shape(
  [hidden, ffn, layers, heads, keyValueHeads, vocab]: readonly number[],
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_size: hidden,
    intermediate_size: ffn,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    vocab_size: vocab,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    max_position_embeddings: 2048,
    ...more,
  };
}

export const STORIES = shape([64, 172, 5, 8, 4, 512]);
export const SMOL = shape([576, 1536, 30, 9, 3, 49152]);
/** Qwen2 has biases in q, k and v by its type. */
export const QWEN = shape([896, 4864, 24, 14, 2, 151936], {
  model_type: "qwen2",
  architectures: ["Qwen2ForCausalLM"],
  rope_theta: 1e6,
  rms_norm_eps: 1e-6,
});

/** 8 pairs: the first ones, 272 tokens a pair with the prompt in both sequences (253 over all 64). */
const HH_PAIRS = HH_LENGTHS.slice(0, 8);
/** As long as those on average, the prompt three times an answer. */
const LONG_PROMPTS = Array.from({ length: 8 }, () => [102, 34, 34] as const);
/** One row of 128 tokens, all of them but the first scored. */
const SFT_ROW = [[1, 127]] as const;

export const STEPS: readonly StepCase[] = [
  {
    model: "stories260K",
    kind: "sft",
    note: "8 HH rows, chosen answers",
    config: STORIES,
    rows: HH_PAIRS.map(([prompt, chosen]) => [prompt, chosen]),
    rounds: 7,
  },
  {
    model: "stories260K",
    kind: "dpo",
    note: "8 HH pairs",
    config: STORIES,
    rows: HH_PAIRS,
    rounds: 7,
  },
  {
    model: "SmolLM2-135M",
    kind: "sft",
    note: "1 row of 128 tokens",
    config: SMOL,
    rows: SFT_ROW,
    rounds: 3,
  },
  {
    model: "SmolLM2-135M",
    kind: "dpo",
    note: "8 HH pairs",
    config: SMOL,
    rows: HH_PAIRS,
    rounds: 1,
  },
  {
    model: "SmolLM2-135M",
    kind: "dpo",
    note: "8 pairs, prompts three times the answers",
    config: SMOL,
    rows: LONG_PROMPTS,
    rounds: 1,
  },
  {
    model: "Qwen2.5-0.5B",
    kind: "sft",
    note: "1 row of 128 tokens",
    config: QWEN,
    rows: SFT_ROW,
    rounds: 1,
  },
  {
    model: "Qwen2.5-0.5B",
    kind: "dpo",
    note: "8 HH pairs",
    config: QWEN,
    rows: HH_PAIRS,
    rounds: 1,
    full: true,
  },
];

/** Examples of random ids, the same in every run. */
export function randomExamples(rows: readonly RowLengths[], vocab: number): TokenizedExample[] {
  let state = 1;
  const ids = (count: number) =>
    Uint32Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      // The high bits: the low ones of such a generator have short periods.
      return Math.floor(state / 2 ** 32 * vocab);
    });
  return rows.map(([prompt, ...answers], row) => ({
    row,
    prompt: ids(prompt),
    answers: answers.map((length) => ({ ids: ids(length), scoredFrom: 0 })),
  }));
}

/**
 * Random weights of the size models start with (standard deviation 0.02), the same in every run and
 * quickly made: what they are does not change how long a step takes.
 */
export function randomWeights(name: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  if (name.endsWith(".bias")) return values;
  if (name.endsWith("norm.weight")) return values.fill(1);
  let state = 0;
  for (const letter of name) state = Math.imul(state, 31) + letter.codePointAt(0)! >>> 0;
  const width = 0.02 * Math.sqrt(12);
  for (let i = 0; i < values.length; i++) {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    values[i] = width * (state / 2 ** 32 - 0.5);
  }
  return values;
}
