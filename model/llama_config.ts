/**
 * `config.json` of a Llama-like model, checked. A field that would change the arithmetic and that this
 * program does not implement is an error that names it: a silent default would train another model.
 */
import { ModelError, quoted } from "./error.ts";
import { isJsonObject, type JsonObject, parseStrictJson } from "./strict_json.ts";
import { FIXED_FIELDS, HARMLESS_FIELDS, READ_FIELDS } from "./config_fields.ts";

/** The architecture: RMSNorm, rotary embedding, grouped-query attention, SwiGLU. */
export interface LlamaConfig {
  readonly modelType: ModelType;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  /** Divides `numAttentionHeads`. */
  readonly numKeyValueHeads: number;
  /** Even, at most 256. */
  readonly headDim: number;
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly tieWordEmbeddings: boolean;
  /** Biases of q_proj, k_proj and v_proj. */
  readonly attentionBias: boolean;
  /** Bias of o_proj. */
  readonly outputBias: boolean;
  /** Biases of gate_proj, up_proj and down_proj. */
  readonly mlpBias: boolean;
  readonly bosTokenId: number | null;
  /** Any of them ends a text; empty if the model names none. */
  readonly eosTokenIds: readonly number[];
}

/** Architectures that differ from Llama only by these defaults. */
const MODEL_TYPES = {
  llama: { architecture: "LlamaForCausalLM", maxPositions: 2048, bos: 1, eos: 2 },
  mistral: { architecture: "MistralForCausalLM", maxPositions: 131072, bos: 1, eos: 2 },
  qwen2: { architecture: "Qwen2ForCausalLM", maxPositions: 32768, bos: null, eos: null },
} as const;
type ModelType = keyof typeof MODEL_TYPES;

const MAX_SIZE = 2 ** 24, MAX_LAYERS = 4096, MAX_HEAD_DIM = 256;

/**
 * Checks the text of a `config.json`.
 *
 * @param file for messages
 * @throws ModelError naming file and field
 */
export function parseLlamaConfig(text: string, file: string): LlamaConfig {
  const raw = parseStrictJson(text, file);
  if (!isJsonObject(raw)) {
    throw new ModelError(`Cannot read ${quoted(file)}: the top level must be a JSON object`);
  }
  const fields = new Fields(raw, file);
  const modelType = checkModelType(fields);
  checkOtherFields(fields);
  const defaults = MODEL_TYPES[modelType];
  const numAttentionHeads = fields.size("num_attention_heads");
  const hiddenSize = fields.size("hidden_size");
  const vocabSize = fields.size("vocab_size");
  const maxPositionEmbeddings = fields.size("max_position_embeddings", {
    fallback: defaults.maxPositions,
  });
  checkSlidingWindow(fields, modelType, maxPositionEmbeddings);
  const attentionBias = fields.boolean("attention_bias", modelType === "qwen2");
  const mlpBias = fields.boolean("mlp_bias", false);
  // Only Llama reads these two fields; the others have fixed biases whatever the file says.
  if (modelType !== "llama" && (attentionBias !== (modelType === "qwen2") || mlpBias)) {
    const field = mlpBias ? "mlp_bias" : "attention_bias";
    fields.fail(field, `${modelType} models have no such choice; remove it`);
  }
  return {
    modelType,
    hiddenSize,
    intermediateSize: fields.size("intermediate_size"),
    numHiddenLayers: fields.size("num_hidden_layers", { max: MAX_LAYERS }),
    numAttentionHeads,
    numKeyValueHeads: keyValueHeads(fields, modelType, numAttentionHeads),
    headDim: headSize(fields, hiddenSize, numAttentionHeads),
    vocabSize,
    maxPositionEmbeddings,
    rmsNormEps: fields.positive("rms_norm_eps", 1e-6),
    ropeTheta: ropeTheta(fields),
    tieWordEmbeddings: fields.boolean("tie_word_embeddings", false),
    attentionBias,
    outputBias: modelType === "llama" && attentionBias,
    mlpBias,
    bosTokenId: fields.tokenIds("bos_token_id", vocabSize, defaults.bos)[0] ?? null,
    eosTokenIds: fields.tokenIds("eos_token_id", vocabSize, defaults.eos),
  };
}

function checkModelType(fields: Fields): ModelType {
  const type = fields.raw.model_type;
  if (typeof type !== "string" || !Object.hasOwn(MODEL_TYPES, type)) {
    return fields.fail("model_type", `supported are ${Object.keys(MODEL_TYPES).join(", ")}`);
  }
  const modelType = type as ModelType;
  const wanted = MODEL_TYPES[modelType].architecture;
  const named = fields.raw.architectures ?? [wanted];
  if (!Array.isArray(named) || (named.length > 0 && !named.includes(wanted))) {
    fields.fail("architectures", `it must name ${wanted}`);
  }
  return modelType;
}

function checkOtherFields(fields: Fields): void {
  for (const [name, value] of Object.entries(fields.raw)) {
    if (READ_FIELDS.has(name) || HARMLESS_FIELDS.has(name)) continue;
    // Null and false switch a feature off, known or not.
    if (value === null || value === false) continue;
    const allowed = FIXED_FIELDS.get(name);
    if (allowed === undefined) {
      fields.fail(name, "it is not known here and may change the arithmetic; remove it if not");
    } else if (!allowed.some((text) => text === JSON.stringify(value))) {
      fields.fail(name, `only ${allowed.join(" or ") || "null"} is supported`);
    }
  }
}

function keyValueHeads(fields: Fields, modelType: ModelType, heads: number): number {
  // Only Llama's default is "as many as heads"; the others default to a number of their own.
  const fallback = modelType === "llama" ? heads : undefined;
  const count = fields.size("num_key_value_heads", { fallback });
  if (heads % count !== 0) {
    fields.fail("num_key_value_heads", `it must divide num_attention_heads ${heads}`);
  }
  return count;
}

function headSize(fields: Fields, hiddenSize: number, heads: number): number {
  const given = fields.raw.head_dim ?? null;
  if (given === null && hiddenSize % heads !== 0) {
    fields.fail(
      "num_attention_heads",
      `it must divide hidden_size ${hiddenSize} when there is no head_dim`,
    );
  }
  const size = fields.size("head_dim", { fallback: hiddenSize / heads, max: MAX_HEAD_DIM });
  const source = given === null ? "num_attention_heads" : "head_dim";
  if (size > MAX_HEAD_DIM) fields.fail(source, `heads of ${size} are over ${MAX_HEAD_DIM}`);
  if (size % 2 !== 0) {
    fields.fail(source, `heads of ${size} have no halves for the rotary embedding`);
  }
  if (size % 4 !== 0) fields.fail(source, `heads of ${size} are no multiple of 4`);
  return size;
}

/** `rope_theta` at the top (transformers 4) or inside `rope_parameters` (transformers 5). */
function ropeTheta(fields: Fields): number {
  let theta: number | undefined;
  for (const field of ["rope_parameters", "rope_scaling"]) {
    const inner = plainRope(fields, field);
    if (inner === undefined) continue;
    if (theta !== undefined && theta !== inner) {
      fields.fail(field, "its rope_theta differs from that of rope_parameters");
    }
    theta = inner;
  }
  const outer = fields.raw.rope_theta ?? null;
  const value = fields.positive("rope_theta", theta ?? 10000);
  if (outer !== null && theta !== undefined && theta !== value) {
    fields.fail("rope_theta", `rope_parameters or rope_scaling has ${theta}`);
  }
  return value;
}

/** The theta of a rope object that says "default" and nothing else; undefined where it has none. */
function plainRope(fields: Fields, field: string): number | undefined {
  const rope = fields.raw[field] ?? null;
  if (rope === null) return undefined;
  if (!isJsonObject(rope)) return fields.fail(field, "it must be null or an object");
  for (const [key, value] of Object.entries(rope)) {
    const plain = key === "rope_type" || key === "type"
      ? value === "default"
      : key === "partial_rotary_factor"
      ? value === 1 || value === null
      : key === "rope_theta" || value === null;
    if (!plain) {
      fields.fail(`${field}.${key}`, "only the default rotary embedding is supported", value);
    }
  }
  const theta = rope.rope_theta ?? null;
  if (theta === null) return undefined;
  if (typeof theta !== "number" || !(theta > 0 && theta < Infinity)) {
    return fields.fail(`${field}.rope_theta`, "it must be a positive number", theta);
  }
  return theta;
}

/** A window is harmless when switched off, or when no text is longer than it. */
function checkSlidingWindow(fields: Fields, modelType: ModelType, maxPositions: number): void {
  const types = fields.raw.layer_types ?? null;
  if (types !== null && !(Array.isArray(types) && types.every((t) => t === "full_attention"))) {
    fields.fail("layer_types", `only "full_attention" is supported`);
  }
  const window = fields.raw.sliding_window ?? null;
  // Mistral has no switch beside the window; the others ignore it unless switched on.
  const active = modelType === "mistral" || fields.boolean("use_sliding_window", false);
  if (window !== null && active && fields.size("sliding_window") < maxPositions) {
    fields.fail(
      "sliding_window",
      `sliding windows are not supported; with max_position_embeddings ${maxPositions} it is active`,
    );
  }
}

/** Typed access to the fields of one file; every refusal names file, field and value. */
class Fields {
  readonly raw: JsonObject;
  readonly #file: string;

  constructor(raw: JsonObject, file: string) {
    this.raw = raw;
    this.#file = file;
  }

  fail(field: string, problem: string, value: unknown = this.raw[field]): never {
    const found = value === undefined ? "is missing" : `is ${quoted(value)}`;
    throw new ModelError(
      `Cannot use ${quoted(this.#file)}: field ${quoted(field)} ${found}: ${problem}`,
    );
  }

  /** A positive integer. */
  size(name: string, limits: { fallback?: number; max?: number } = {}): number {
    const { fallback, max = MAX_SIZE } = limits;
    const value = this.raw[name] ?? null;
    if (value === null && fallback !== undefined) return fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > max) {
      return this.fail(name, `it must be an integer from 1 to ${max}`);
    }
    return value;
  }

  positive(name: string, fallback: number): number {
    const value = this.raw[name] ?? fallback;
    if (typeof value !== "number" || !(value > 0 && value < Infinity)) {
      return this.fail(name, "it must be a positive number");
    }
    return value;
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.raw[name] ?? fallback;
    return typeof value === "boolean" ? value : this.fail(name, "it must be true or false");
  }

  /** One id, a list of ids, or null for none; absent means `fallback`. */
  tokenIds(name: string, vocabSize: number, fallback: number | null): number[] {
    // A fallback outside a small vocabulary names no token.
    const preset = fallback !== null && fallback < vocabSize ? fallback : null;
    const value = this.raw[name] === undefined ? preset : this.raw[name];
    const ids: unknown[] = Array.isArray(value) ? value : value === null ? [] : [value];
    for (const id of ids) {
      if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= vocabSize) {
        this.fail(name, `token ids must be integers from 0 to ${vocabSize - 1}`);
      }
    }
    return ids as number[];
  }
}
