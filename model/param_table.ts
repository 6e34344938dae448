/** Which parameters a model has, what they are called in its files, and how they start. */
import { ModelError, quoted } from "./error.ts";
import type { LlamaConfig } from "./llama_config.ts";
import { elementCount } from "./safetensors_header.ts";
import { philox } from "./philox.ts";

/** A parameter of the model under its name in the file. */
export interface ParameterSpec {
  readonly name: string;
  /** [out, in] for matrices, [size] for norms and biases. */
  readonly shape: readonly number[];
  /** Whether weight decay applies: to matrices, not to norms and biases. */
  readonly decay: boolean;
}

/**
 * All parameters in the order of the forward pass, named as in Hugging Face files. C hidden, D head
 * size, H heads, K key/value heads, F feed-forward, V vocabulary: `embed_tokens` and `lm_head` [V, C],
 * `q_proj` [H*D, C], `k_proj` and `v_proj` [K*D, C], `o_proj` [C, H*D], `gate_proj` and `up_proj`
 * [F, C], `down_proj` [C, F]. With tied embeddings there is no `lm_head.weight`.
 */
export function parameterList(config: LlamaConfig): ParameterSpec[] {
  const { hiddenSize: c, intermediateSize: f, vocabSize: v, headDim } = config;
  const queries = config.numAttentionHeads * headDim;
  const keys = config.numKeyValueHeads * headDim;
  const list: ParameterSpec[] = [];
  const norm = (name: string) => list.push({ name: `${name}.weight`, shape: [c], decay: false });
  const linear = (name: string, out: number, input: number, bias: boolean) => {
    list.push({ name: `${name}.weight`, shape: [out, input], decay: true });
    if (bias) list.push({ name: `${name}.bias`, shape: [out], decay: false });
  };
  linear("model.embed_tokens", v, c, false);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const at = `model.layers.${layer}`;
    norm(`${at}.input_layernorm`);
    linear(`${at}.self_attn.q_proj`, queries, c, config.attentionBias);
    linear(`${at}.self_attn.k_proj`, keys, c, config.attentionBias);
    linear(`${at}.self_attn.v_proj`, keys, c, config.attentionBias);
    linear(`${at}.self_attn.o_proj`, c, queries, config.outputBias);
    norm(`${at}.post_attention_layernorm`);
    linear(`${at}.mlp.gate_proj`, f, c, config.mlpBias);
    linear(`${at}.mlp.up_proj`, f, c, config.mlpBias);
    linear(`${at}.mlp.down_proj`, c, f, config.mlpBias);
  }
  norm("model.norm");
  if (!config.tieWordEmbeddings) linear("lm_head", v, c, false);
  return list;
}

/**
 * Initial values of a parameter for training from nothing: norms 1, biases 0, everything else normal
 * with mean 0 and standard deviation `std`, as in transformers. A value depends only on seed, name and
 * its index, so the order in which parameters are made does not matter.
 *
 * @param options.std standard deviation of matrices; default 0.02
 * @param options.seed non-negative safe integer
 */
export function initParameter(
  name: string,
  shape: readonly number[],
  options: { readonly std?: number; readonly seed: number },
): Float32Array<ArrayBuffer> {
  const { std = 0.02, seed } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ModelError(`Cannot initialise ${quoted(name)}: seed ${seed} must be a safe integer`);
  }
  const values = new Float32Array(elementCount(shape));
  if (name.endsWith(".bias")) return values;
  if (name.endsWith("norm.weight")) return values.fill(1);
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32)] as const;
  const stream = [hash(name, 0x811c9dc5), hash(name, 0x01234567)] as const;
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

/** FNV-1a over UTF-16 units: spreads parameter names over the counter space. */
function hash(text: string, start: number): number {
  let h = start;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
