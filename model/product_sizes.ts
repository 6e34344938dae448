/** The matrix products of a model, for measuring kernels. */
import type { ProductSize } from "../gpu/tuning_measure.ts";
import { vocabularyChunk } from "./activations.ts";
import type { Architecture } from "./architecture.ts";
import { parameterList } from "./param_table.ts";

/** Rows that a measurement takes: enough to tell kernels apart, few enough to be quick. */
const ROWS = 128;

/**
 * The distinct products of one layer and of a chunk of the head, forward and backward, over a fixed
 * number of tokens.
 */
export function productSizes(config: Architecture): ProductSize[] {
  const linear = parameterList({ ...config, numHiddenLayers: 1 })
    .filter(({ shape, name }) => shape.length === 2 && name.startsWith(`${config.names.layers}.`))
    .map(({ shape: [out, input] }) => ({ out, input }));
  linear.push({ out: vocabularyChunk(config.vocabSize), input: config.hiddenSize });
  const sizes = linear.flatMap(({ out, input }): ProductSize[] => [
    { form: "NT", m: ROWS, n: out, k: input },
    { form: "NN", m: ROWS, n: input, k: out },
    { form: "TN", m: out, n: input, k: ROWS },
  ]);
  return [...new Map(sizes.map((size) => [JSON.stringify(size), size])).values()];
}
