/**
 * The metadata of a GGUF file as a `config.json`, which is then checked like any other. A key of the
 * architecture that is not known here is an error that names it.
 */
import type { JsonObject } from "../strict_json.ts";
import { architectureNamed, type GgufArchitecture, KNOWN_ARCHITECTURES } from "./architectures.ts";
import { ggufError, type GgufFile } from "./file.ts";
import { attentionWidthOf, hasFullAttention, hasRotary } from "./built_in.ts";
import { MetadataReader } from "./metadata.ts";
import { llama3Scaling } from "./rope_factors.ts";
import { ROPE_FACTORS } from "./store.ts";

/** What a file says about its model. */
export interface GgufConfig {
  readonly architecture: GgufArchitecture;
  readonly config: JsonObject;
}

const MAX_SIZE = 2 ** 24, MAX_LAYERS = 4096;

/**
 * @throws ModelError: an architecture that this program does not run, a key missing, of another type,
 * or not known
 */
export function readGgufConfig(file: GgufFile): GgufConfig {
  const reader = new MetadataReader(file.metadata, file.path);
  const name = reader.text("general.architecture") ??
    reader.fail("general.architecture", "is missing");
  const architecture = architectureNamed(name) ??
    reader.fail(
      "general.architecture",
      `is ${JSON.stringify(name.slice(0, 40))}, supported are ${KNOWN_ARCHITECTURES.join(", ")}`,
    );
  const key = (short: string) => `${name}.${short}`;
  const sizes: Record<string, number> = {};
  for (const [short, field] of Object.entries(architecture.sizes)) {
    // Without it there are as many as heads.
    const absent = short === "attention.head_count_kv" && !reader.has(key(short));
    if (absent) sizes[field] = sizes.num_attention_heads;
    else sizes[field] = checkedSize(reader, key(short));
  }
  const embedding = file.tensors.get("token_embd.weight") ??
    (() => {
      throw ggufError(file.path, `the tensor "token_embd.weight" is missing`);
    })();
  const config = {
    architectures: [architecture.className],
    model_type: architecture.modelType,
    vocab_size: embedding.shape[0],
    ...sizes,
    [architecture.eps[1]]: reader.required(key(architecture.eps[0])),
    ...rotary(file, reader, architecture, headSize(reader, architecture, sizes)),
    ...own(file, reader, architecture, sizes),
    ...architecture.fixed,
    tie_word_embeddings: !file.tensors.has("output.weight"),
    ...tokenIds(reader),
    torch_dtype: "float32",
  };
  if (reader.flag(key("attention.causal")) === false) {
    reader.fail(key("attention.causal"), "is false: only causal models are trained");
  }
  reader.refuseOthers(`${name}.`);
  return { architecture, config };
}

function checkedSize(reader: MetadataReader, key: string): number {
  const value = reader.required(key), max = key.endsWith(".block_count") ? MAX_LAYERS : MAX_SIZE;
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  return reader.fail(key, `is ${value}, it must be an integer from 1 to ${max}`);
}

/** The size of a head, and whether it is what the file's sizes say without it. */
function headSize(
  reader: MetadataReader,
  { name, headDim }: GgufArchitecture,
  sizes: Readonly<Record<string, number>>,
): number {
  const heads = sizes.num_attention_heads ?? sizes.n_head;
  const plain = (sizes.hidden_size ?? sizes.n_embd) / heads;
  const given = reader.number(`${name}.attention.key_length`) ?? plain;
  const values = reader.number(`${name}.attention.value_length`) ?? given;
  if (values !== given) {
    reader.fail(`${name}.attention.value_length`, `is ${values}, but keys have ${given} values`);
  }
  if (!headDim && given !== plain) {
    reader.fail(`${name}.attention.key_length`, `is ${given}, but the sizes give ${plain}`);
  }
  return given;
}

function rotary(
  file: GgufFile,
  reader: MetadataReader,
  { name, theta, share, headDim }: GgufArchitecture,
  head: number,
): JsonObject {
  if (theta === undefined) return {};
  const width = reader.number(`${name}.rope.dimension_count`) ?? head;
  if (share === undefined && width !== head) {
    reader.fail(
      `${name}.rope.dimension_count`,
      `is ${width}, only whole heads of ${head} may turn`,
    );
  }
  const base = reader.number(`${name}.rope.freq_base`) ?? 10000;
  return {
    ...headDim && { head_dim: head },
    [theta]: base,
    ...share !== undefined && { [share]: width / head },
    rope_scaling: scaling(file, reader, name, { base, width }),
  };
}

function scaling(
  file: GgufFile,
  reader: MetadataReader,
  name: string,
  { base, width }: { base: number; width: number },
): JsonObject | null {
  const key = `${name}.rope.scaling.type`, type = reader.text(key) ?? "none";
  const factor = reader.number(`${name}.rope.scaling.factor`);
  const original = reader.number(`${name}.rope.scaling.original_context_length`);
  if (file.tensors.has(ROPE_FACTORS)) {
    const shape = file.tensors.get(ROPE_FACTORS)!.shape;
    if (shape.length !== 1 || shape[0] !== width / 2) {
      throw ggufError(file.path, `the tensor "${ROPE_FACTORS}" must have ${width / 2} values`);
    }
    const found = llama3Scaling(file.readRows(ROPE_FACTORS, 0, 1), base, original);
    if (found !== undefined) return found;
    throw ggufError(
      file.path,
      `the tensor "${ROPE_FACTORS}" is not the llama3 scaling of Llama 3.1 or 3.2: it is not supported`,
    );
  }
  if (type === "none") return null;
  if (type !== "linear") {
    reader.fail(key, `is ${JSON.stringify(type.slice(0, 40))}, supported are none and linear`);
  }
  return { rope_type: "linear", factor: factor ?? reader.fail(key, "has no factor beside it") };
}

/** Fields that only this architecture has. */
function own(
  file: GgufFile,
  reader: MetadataReader,
  { name }: GgufArchitecture,
  sizes: Readonly<Record<string, number>>,
): JsonObject {
  const number = (short: string) => reader.number(`${name}.${short}`);
  const biased = (part: string) => file.tensors.has(`blk.0.${part}.bias`);
  if (name === "llama" || name === "smollm3") {
    const both = { attention_bias: biased("attn_q"), mlp_bias: biased("ffn_up") };
    if (name === "llama") return both;
    const layers = Array.from({ length: sizes.num_hidden_layers }, (_, i) => +hasRotary(name, i));
    return { ...both, no_rope_layers: layers };
  }
  if (name === "qwen3" || name === "olmo2") return { attention_bias: biased("attn_q") };
  if (name === "phi3") return { sliding_window: number("attention.sliding_window") || null };
  if (name === "gptneox") {
    return { use_parallel_residual: reader.flag(`${name}.use_parallel_residual`) ?? true };
  }
  if (name !== "gemma2" && name !== "gemma3") return {};
  const head = number("attention.key_length") ?? sizes.hidden_size / sizes.num_attention_heads;
  const { num_hidden_layers: numHiddenLayers, hidden_size: hiddenSize } = sizes;
  const numAttentionHeads = sizes.num_attention_heads;
  const common = {
    query_pre_attn_scalar: attentionWidthOf(name, {
      numHiddenLayers,
      hiddenSize,
      numAttentionHeads,
      headDim: head,
    }),
    sliding_window: number("attention.sliding_window") ?? 4096,
    attn_logit_softcapping: number("attn_logit_softcapping") || null,
    final_logit_softcapping: number("final_logit_softcapping") || null,
  };
  if (name === "gemma2") return common;
  const layers = Array.from(
    { length: sizes.num_hidden_layers },
    (_, i) => hasFullAttention(name, i) ? "full_attention" : "sliding_attention",
  );
  return {
    ...common,
    rope_local_base_freq: number("rope.freq_base_swa") ?? 10000,
    layer_types: layers,
  };
}

function tokenIds(reader: MetadataReader): JsonObject {
  const id = (name: string) => reader.number(`tokenizer.ggml.${name}_token_id`) ?? null;
  const bos = id("bos"), eos = id("eos"), eot = id("eot");
  return {
    bos_token_id: bos,
    eos_token_id: eot === null || eos === null || eot === eos ? eos : [eos, eot],
  };
}
