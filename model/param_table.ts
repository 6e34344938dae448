/** Which parameters a model has, what they are called in its files, and how they start. */
import { ModelError, quoted } from "./error.ts";
import { type Architecture, attentionWidths } from "./architecture.ts";
import { elementCount } from "./safetensors_header.ts";
import { philox, streamOf } from "./philox.ts";

/** A parameter of the model under its name in the file. */
export interface ParameterSpec {
  readonly name: string;
  /** [out, in] for matrices ([in, out] where they are transposed), [size] for norms and biases. */
  readonly shape: readonly number[];
  /** Whether weight decay applies: to matrices, not to norms and biases. */
  readonly decay: boolean;
  /** What it starts with for training from nothing. */
  readonly start: "normal" | "zeros" | "ones";
}

/**
 * All parameters in the order of the forward pass, named as in Hugging Face files (`parameter_names.ts`).
 * C hidden, D head size, H heads, K key/value heads, F feed-forward, V vocabulary: embedding and head
 * [V, C], positions [P, C], query [H*D, C], key and value [K*D, C], one after the other where they are
 * one, output [C, H*D], gate and up [F, C] or [2F, C], down [C, F]. A tied head is no parameter.
 */
export function parameterList(config: Architecture): ParameterSpec[] {
  const { names, hiddenSize: C, vocabSize } = config, list = new ParameterList(config);
  list.matrix(names.embedding, [vocabSize, C], false);
  if (names.positions) list.matrix(names.positions, [config.maxPositionEmbeddings, C], false);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    list.layer(`${names.layers}.${layer}`);
  }
  list.norm(names.finalNorm, C);
  if (!config.tieWordEmbeddings) list.matrix(names.head, [vocabSize, C], false);
  return list.specs;
}

class ParameterList {
  readonly specs: ParameterSpec[] = [];
  readonly #config: Architecture;

  constructor(config: Architecture) {
    this.#config = config;
  }

  matrix(name: string, shape: readonly number[], bias: boolean, out = shape[0]): void {
    this.specs.push({ name: `${name}.weight`, shape, decay: true, start: "normal" });
    if (bias) this.#vector(`${name}.bias`, out, "zeros");
  }

  norm(name: string, width: number): void {
    const { norm } = this.#config;
    this.#vector(`${name}.weight`, width, norm === "rms_one_plus" ? "zeros" : "ones");
    if (norm === "layer") this.#vector(`${name}.bias`, width, "zeros");
  }

  #vector(name: string, width: number, start: "zeros" | "ones"): void {
    this.specs.push({ name, shape: [width], decay: false, start });
  }

  layer(at: string): void {
    const { names: { layer, transposed }, hiddenSize: C, intermediateSize: F } = this.#config;
    const { attentionBias, outputBias, mlpBias, qkNorm, headDim } = this.#config;
    const { queries, keys } = attentionWidths(this.#config);
    const norm = (name: string | undefined, width = C) => name && this.norm(`${at}.${name}`, width);
    const linear = (name: string | undefined, out: number, input: number, bias: boolean) =>
      name && this.matrix(`${at}.${name}`, transposed ? [input, out] : [out, input], bias, out);
    norm(layer.preAttentionNorm);
    linear(layer.query, queries, C, attentionBias);
    linear(layer.key, keys, C, attentionBias);
    linear(layer.value, keys, C, attentionBias);
    linear(layer.queryKeyValue, queries + 2 * keys, C, attentionBias);
    norm(layer.queryNorm, qkNorm === "head" ? headDim : queries);
    norm(layer.keyNorm, qkNorm === "head" ? headDim : keys);
    linear(layer.output, C, queries, outputBias);
    norm(layer.postAttentionNorm);
    norm(layer.preMlpNorm);
    linear(layer.gate, F, C, mlpBias);
    linear(layer.up, F, C, mlpBias);
    linear(layer.gateUp, 2 * F, C, mlpBias);
    linear(layer.down, C, F, mlpBias);
    norm(layer.postMlpNorm);
  }
}

/**
 * Initial values of a parameter for training from nothing: norms 1 (0 where they are added to 1), biases
 * 0, everything else normal with mean 0 and standard deviation `std`, as in transformers (without its
 * smaller output matrices of GPT-2). A value depends only on seed, name and its index, so the order in
 * which parameters are made does not matter.
 *
 * @param options.std standard deviation of matrices; default 0.02
 * @param options.seed non-negative safe integer
 */
export function initParameter(
  { name, shape, start }: Omit<ParameterSpec, "decay">,
  options: { readonly std?: number; readonly seed: number },
): Float32Array<ArrayBuffer> {
  const { std = 0.02, seed } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ModelError(`Cannot initialise ${quoted(name)}: seed ${seed} must be a safe integer`);
  }
  const values = new Float32Array(elementCount(shape));
  if (start === "zeros") return values;
  if (start === "ones") return values.fill(1);
  const { key, stream } = streamOf(name, seed);
  const bits = new Uint32Array(4);
  for (let i = 0; i < values.length; i += 4) {
    const block = i / 4;
    philox([block >>> 0, Math.floor(block / 2 ** 32), ...stream], key, bits);
    for (let k = 0; k < 4 && i + k < values.length; k += 2) {
      // Box-Muller; the half keeps the uniform off 0, so the largest value is about 6.7 std.
      const radius = std * Math.sqrt(-2 * Math.log((bits[k] + 0.5) / 2 ** 32));
      const angle = 2 * Math.PI * (bits[k + 1] / 2 ** 32);
      values[i + k] = radius * Math.cos(angle);
      if (i + k + 1 < values.length) values[i + k + 1] = radius * Math.sin(angle);
    }
  }
  return values;
}
