/**
 * `config.json` of a decoder, checked and turned into an `Architecture`. A field that would change the
 * arithmetic and that this program does not implement is an error that names it: a silent default would
 * train another model.
 */
import type { Architecture } from "./architecture.ts";
import { COMMON_FIELDS, FIXED_FIELDS, HARMLESS_FIELDS, ROTARY_FIELDS } from "./config_fields.ts";
import { Fields } from "./config_reader.ts";
import { ModelError, quoted } from "./error.ts";
import { readLayerKinds } from "./layer_kinds.ts";
import { ACTIVATIONS, GPT2_SIZES, MODEL_TYPES, type ModelRules } from "./model_types.ts";
import { isJsonObject, parseStrictJson } from "./strict_json.ts";

const MAX_LAYERS = 4096, MAX_HEAD_DIM = 256;

/**
 * Checks the text of a `config.json`.
 *
 * @param file for messages
 * @throws ModelError naming file and field
 */
export function parseArchitecture(text: string, file: string): Architecture {
  const raw = parseStrictJson(text, file);
  if (!isJsonObject(raw)) {
    throw new ModelError(`Cannot read ${quoted(file)}: the top level must be a JSON object`);
  }
  const fields = new Fields(raw, file);
  const modelType = checkModelType(fields);
  const rules = MODEL_TYPES[modelType];
  checkOtherFields(fields, rules);
  const sizes = readSizes(fields, modelType, rules);
  const { vocabSize, headDim, maxPositionEmbeddings: maxPositions } = sizes;
  const layers = sizes.numHiddenLayers;
  const parallel = modelType === "gpt_neox" && fields.boolean("use_parallel_residual", true);
  if (modelType === "gpt2" && !fields.boolean("scale_attn_weights", true)) {
    fields.fail("scale_attn_weights", "only true is supported");
  }
  return {
    modelType,
    names: rules.names,
    ...sizes,
    norm: rules.norm,
    normEps: fields.positive(...rules.eps),
    qkNorm: rules.qkNorm ?? "none",
    parallel,
    activation: fields.choice(rules.activation[0], ACTIVATIONS, rules.activation[1]),
    layerKinds: readLayerKinds(fields, rules, { modelType, layers, headDim, maxPositions }),
    ...readScales(fields, rules, sizes),
    tieWordEmbeddings: fields.boolean("tie_word_embeddings", rules.tied),
    ...readBiases(fields, modelType, rules),
    bosTokenId: fields.tokenIds("bos_token_id", vocabSize, rules.bos)[0] ?? null,
    eosTokenIds: fields.tokenIds("eos_token_id", vocabSize, rules.eos),
  };
}

function checkModelType(fields: Fields): string {
  const type = fields.raw.model_type;
  if (typeof type !== "string" || !Object.hasOwn(MODEL_TYPES, type)) {
    return fields.fail("model_type", `supported are ${Object.keys(MODEL_TYPES).join(", ")}`);
  }
  const wanted = MODEL_TYPES[type].architecture;
  const named = fields.raw.architectures ?? [wanted];
  if (!Array.isArray(named) || (named.length > 0 && !named.includes(wanted))) {
    fields.fail("architectures", `it must name ${wanted}`);
  }
  return type;
}

function checkOtherFields(fields: Fields, rules: ModelRules): void {
  const own = new Set([
    ...rules.fields,
    rules.eps[0],
    rules.activation[0],
    ...rules.rotaryShare?.slice(0, 1) ?? [],
    ...rules.rope ? [...ROTARY_FIELDS, rules.rope[0]] : [],
  ]);
  for (const [name, value] of Object.entries(fields.raw)) {
    if (COMMON_FIELDS.has(name) || own.has(String(name)) || HARMLESS_FIELDS.has(name)) continue;
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

type Sizes = Pick<
  Architecture,
  | "hiddenSize"
  | "intermediateSize"
  | "numHiddenLayers"
  | "numAttentionHeads"
  | "numKeyValueHeads"
  | "headDim"
  | "vocabSize"
  | "maxPositionEmbeddings"
>;

function readSizes(fields: Fields, modelType: string, rules: ModelRules): Sizes {
  const isGpt2 = modelType === "gpt2";
  const size = (name: string, limits: { fallback?: number; max?: number } = {}) =>
    fields.size(isGpt2 ? GPT2_SIZES[name] ?? name : name, limits);
  const hiddenSize = size("hidden_size");
  const numAttentionHeads = size("num_attention_heads");
  return {
    hiddenSize,
    intermediateSize: isGpt2
      ? fields.size("n_inner", { fallback: 4 * hiddenSize })
      : size("intermediate_size"),
    numHiddenLayers: size("num_hidden_layers", { max: MAX_LAYERS }),
    numAttentionHeads,
    numKeyValueHeads: keyValueHeads(fields, rules, numAttentionHeads),
    headDim: headSize(fields, rules, hiddenSize, numAttentionHeads),
    vocabSize: size("vocab_size"),
    maxPositionEmbeddings: size("max_position_embeddings", { fallback: rules.maxPositions }),
  };
}

function keyValueHeads(fields: Fields, rules: ModelRules, heads: number): number {
  const count = fields.size("num_key_value_heads", {
    fallback: rules.allHeads ? heads : undefined,
  });
  if (heads % count !== 0) {
    fields.fail("num_key_value_heads", `it must divide the number of heads, ${heads}`);
  }
  if (rules.norm === "layer" && count !== heads) {
    fields.fail("num_key_value_heads", `models of this type have as many as heads, ${heads}`);
  }
  return count;
}

function headSize(fields: Fields, rules: ModelRules, hiddenSize: number, heads: number): number {
  const given = fields.raw.head_dim ?? null;
  const headsField = rules.fields.includes("n_head") ? "n_head" : "num_attention_heads";
  const whole = hiddenSize % heads === 0;
  if (rules.norm === "layer" && given !== null && given !== hiddenSize / heads) {
    fields.fail("head_dim", "models of this type have no such choice; remove it");
  }
  if (given === null && rules.headDim === undefined && !whole) {
    fields.fail(
      headsField,
      `it must divide the hidden size ${hiddenSize} when there is no head_dim`,
    );
  }
  const fallback = rules.headDim ?? hiddenSize / heads;
  const size = fields.size("head_dim", { fallback, max: MAX_HEAD_DIM });
  const source = given === null ? headsField : "head_dim";
  if (size > MAX_HEAD_DIM) fields.fail(source, `heads of ${size} are over ${MAX_HEAD_DIM}`);
  if (size % 2 !== 0) {
    fields.fail(source, `heads of ${size} have no halves for the rotary embedding`);
  }
  if (size % 4 !== 0) fields.fail(source, `heads of ${size} are no multiple of 4`);
  return size;
}

function readScales(fields: Fields, rules: ModelRules, { hiddenSize, headDim }: Sizes) {
  const isGemma = rules.norm === "rms_one_plus", isGemma2 = isGemma && rules.qkNorm === undefined;
  const scalar = isGemma ? fields.positive("query_pre_attn_scalar", 256) : headDim;
  const cap = (field: string, fallback: number) =>
    isGemma ? fields.positiveOrOff(field, isGemma2 ? fallback : null) : null;
  return {
    embeddingScale: isGemma ? Math.sqrt(hiddenSize) : 1,
    attentionScale: 1 / Math.sqrt(scalar),
    attentionSoftcap: cap("attn_logit_softcapping", 50),
    logitSoftcap: cap("final_logit_softcapping", 30),
  };
}

function readBiases(fields: Fields, modelType: string, rules: ModelRules) {
  const bias = (field: string, rule: "none" | "qkv" | "all" | { readonly default: boolean }) => {
    if (typeof rule === "object") return fields.boolean(field, rule.default);
    const fixed = rule !== "none";
    if (fields.boolean(field, fixed) !== fixed) {
      fields.fail(field, `${modelType} models have no such choice; remove it`);
    }
    return fixed;
  };
  const attentionBias = bias("attention_bias", rules.attentionBias);
  return {
    attentionBias,
    outputBias: attentionBias && rules.attentionBias !== "qkv",
    mlpBias: bias("mlp_bias", rules.mlpBias),
  };
}
