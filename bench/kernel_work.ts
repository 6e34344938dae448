/**
 * What each kernel of a step has to compute or to move, for its bound: the larger of operations by the
 * multiply-add ceiling and bytes by the copy's. Every value is moved once, as if caches were endless.
 * A kernel whose work changes changes its line here; `tests/bench` fails for one that has none.
 */
import type { Architecture } from "../model/architecture.ts";
import { layerWeights, type Sizes } from "./work.ts";

export interface KernelWork {
  readonly operations: number;
  readonly bytes: number;
}

/** Sizes of a chunk, and what of the model's counts. */
export interface StepSizes extends Sizes {
  /** Distinct ids, and distinct tokens that predict a scored one. */
  readonly ids: number;
  readonly sources: number;
  /** Parameters. */
  readonly parameters: number;
  /** The vocabulary takes several chunks: its logits are computed again for the backward pass. */
  readonly logitsTwice: boolean;
}

/** "matmul NT zero 16x8 ..." is "matmul NT", "swiglu.wgsl:forward" is "swiglu forward". */
export function kernelName(label: string): string {
  const file = label.match(/^(\w+)\.wgsl\b.*:(\w+)$/);
  if (file) return `${file[1]} ${file[2]}`;
  const generated = label.match(
    /^(matmul (?:NN|NT|TN)|attention (?:forward|delta|backward \w+)|activation \w+)\b/,
  );
  return generated?.[1] ?? label;
}

/** Rows whose sums a column sum adds first. */
const BLOCK_ROWS = 32;

/** Work of the products, attention's among them. */
function products(c: Architecture, s: StepSizes): [string, KernelWork][] {
  const layers = s.run * layerWeights(c) * c.numHiddenLayers;
  const head = s.scored * c.hiddenSize * c.vocabSize;
  const queries = c.numAttentionHeads * c.headDim * c.numHiddenLayers;
  const product = (multiplies: number) => ({ operations: 2 * multiplies, bytes: 0 });
  return [
    ["matmul NT", product(layers + head * (s.logitsTwice ? 2 : 1))],
    ["matmul NN", product(layers + head)],
    ["matmul TN", product(layers + head)],
    ["attention forward", product(2 * s.pairs * queries)],
    ["attention backward query", product(3 * s.pairs * queries)],
    ["attention backward key", product(4 * s.pairs * queries)],
    ["attention delta", { operations: 0, bytes: 8 * s.run * queries }],
  ];
}

/** Work of one training step, by the kernels' names. */
export function kernelWork(c: Architecture, s: StepSizes): Map<string, KernelWork> {
  const C = c.hiddenSize, F = c.intermediateSize, L = c.numHiddenLayers;
  const width = (c.numAttentionHeads + c.numKeyValueHeads) * c.headDim;
  // Rows of all norms: two a layer, and the head's.
  const normed = 2 * L * s.run + s.scored;
  const biased = c.attentionBias
    ? (c.numAttentionHeads + 2 * c.numKeyValueHeads) * c.headDim + (c.outputBias ? C : 0)
    : 0;
  const biases = L * s.run * (biased + (c.mlpBias ? 2 * F + C : 0));
  const floats: [string, number][] = [
    ["rms_norm forward", normed * 2 * C],
    ["rms_norm backward_input", normed * 4 * C],
    ["rms_norm backward_weight", normed * 2 * C],
    ["column_sum blocks", biases],
    ["column_sum total", (normed * C + biases) / BLOCK_ROWS],
    ["rope rotate", 2 * L * s.run * width * 2],
    ["rope rotate4", 2 * L * s.run * width * 2],
    ["swiglu forward", L * s.run * 3 * F],
    ["swiglu backward", L * s.run * 5 * F],
    ["gather_rows forward", (s.run + s.scored) * 2 * C],
    ["gather_rows backward", (s.run + 2 * s.ids + s.scored + 2 * s.sources) * C],
    ["log_softmax accumulate", s.scored * c.vocabSize],
    ["log_softmax finish", s.scored * 7],
    ["log_softmax backward", 2 * s.scored * c.vocabSize],
    ["optimizer squares", s.parameters],
    ["optimizer fold", s.parameters / 64],
    ["optimizer norm", s.parameters / 64 ** 3],
    ["optimizer adamw", 7 * s.parameters],
  ];
  return new Map([
    ...products(c, s),
    ...floats.map(([name, count]): [string, KernelWork] => [
      name,
      { operations: 0, bytes: 4 * count },
    ]),
  ]);
}
