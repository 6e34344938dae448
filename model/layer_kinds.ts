/**
 * In what the layers of a model differ, out of its `config.json`: which of them see only a window, which
 * have no rotary embedding, and which have another theta.
 */
import type { LayerKind, Rotary } from "./architecture.ts";
import type { Fields } from "./config_reader.ts";
import type { ModelRules } from "./model_types.ts";
import { readRotary, type RopeRules } from "./rope_fields.ts";
import { isJsonObject } from "./strict_json.ts";

const SLIDING = "sliding_attention", FULL = "full_attention";

/** What is known of the model when its layers are looked at. */
export interface LayerSizes {
  readonly modelType: string;
  readonly layers: number;
  readonly headDim: number;
  readonly maxPositions: number;
}

/** One kind for each layer, or a single one where all are the same. */
export function readLayerKinds(fields: Fields, rules: ModelRules, sizes: LayerSizes): LayerKind[] {
  const sliding = slidingLayers(fields, rules, sizes);
  const window = windowSize(fields, rules, sizes, sliding.includes(true));
  const rotary = rotaryByLayer(fields, rules, sizes, sliding);
  const kinds = sliding.map((slides, i): LayerKind => ({
    slidingWindow: slides ? window : null,
    rotary: rotary(i),
  }));
  const same = (kind: LayerKind) =>
    kind.rotary === kinds[0].rotary && kind.slidingWindow === kinds[0].slidingWindow;
  return kinds.every(same) ? [kinds[0]] : kinds;
}

/** Layers that see a window, by the file or by what the model type does on its own. */
function slidingLayers(fields: Fields, rules: ModelRules, sizes: LayerSizes): boolean[] {
  const all = Array.from({ length: sizes.layers }, (_, i) => i);
  const preset = all.map(presetSliding(fields, rules, sizes));
  const types = fields.raw.layer_types ?? null;
  if (types === null) return preset;
  const known = Array.isArray(types) && types.length === sizes.layers &&
    types.every((type) => type === SLIDING || type === FULL);
  if (!known) {
    return fields.fail("layer_types", `it must name "${FULL}" or "${SLIDING}" for every layer`);
  }
  const given = types.map((type) => type === SLIDING);
  // Only these types look at the list; the others do what they do.
  const free = ["qwen2", "qwen3", "gemma2", "gemma3_text", "smollm3"].includes(sizes.modelType);
  if (!free && given.some((slides, i) => slides !== preset[i])) {
    return fields.fail("layer_types", `${sizes.modelType} models have no such choice; remove it`);
  }
  return given;
}

function presetSliding(
  fields: Fields,
  rules: ModelRules,
  { modelType }: LayerSizes,
): (layer: number) => boolean {
  if (!rules.fields.includes("sliding_window")) return () => false;
  const given = (fields.raw.sliding_window ?? null) !== null;
  if (modelType === "gemma2") return (layer) => layer % 2 === 0;
  if (modelType === "gemma3_text") {
    const field = fields.raw.sliding_window_pattern === undefined
      ? "_sliding_window_pattern"
      : "sliding_window_pattern";
    const pattern = fields.size(field, { fallback: 6 });
    return (layer) => (layer + 1) % pattern !== 0;
  }
  if (!rules.fields.includes("use_sliding_window")) return () => given;
  if (!fields.boolean("use_sliding_window", false) || !given) return () => false;
  if (modelType === "smollm3") {
    const rotates = rotatingLayers(fields);
    return (layer) => !rotates(layer);
  }
  const first = fields.raw.max_window_layers === 0
    ? 0
    : fields.size("max_window_layers", { fallback: 28 });
  return (layer) => layer >= first;
}

/** The window; null where no text is longer than it. */
function windowSize(
  fields: Fields,
  rules: ModelRules,
  { maxPositions }: LayerSizes,
  needed: boolean,
): number | null {
  if (!needed) return null;
  if (rules.fields.includes("use_sliding_window") && !fields.boolean("use_sliding_window", false)) {
    fields.fail("use_sliding_window", `layer_types names "${SLIDING}"`);
  }
  const preset = rules.norm === "rms_one_plus" && fields.raw.sliding_window === undefined;
  const window = fields.size("sliding_window", { fallback: preset ? 4096 : undefined });
  return window < maxPositions ? window : null;
}

/** SmolLM3's layers with a rotary embedding. */
function rotatingLayers(fields: Fields): (layer: number) => boolean {
  const list = fields.raw.no_rope_layers ?? null;
  if (list === null) {
    const interval = fields.size("no_rope_layer_interval", { fallback: 4 });
    return (layer) => (layer + 1) % interval !== 0;
  }
  const layers = fields.size("num_hidden_layers");
  const valid = Array.isArray(list) && list.length >= layers &&
    list.every((x) => x === 0 || x === 1);
  if (!valid) {
    return fields.fail("no_rope_layers", "it must hold 1 (rotary embedding) or 0 for every layer");
  }
  return (layer) => list[layer] === 1;
}

function rotaryByLayer(
  fields: Fields,
  rules: ModelRules,
  { modelType, headDim }: LayerSizes,
  sliding: readonly boolean[],
): (layer: number) => Rotary | null {
  if (!rules.rope) return () => null;
  const [thetaField, theta] = rules.rope;
  const common: RopeRules = {
    headDim,
    thetaField,
    theta,
    shareField: rules.rotaryShare?.[0],
    share: rules.rotaryShare?.[1],
    scalable: modelType !== "phi3",
  };
  if (modelType === "gemma3_text") {
    const { local, global } = gemma3Rotaries(fields, common);
    return (layer) => sliding[layer] ? local : global;
  }
  const rotary = readRotary(fields, common);
  if (modelType !== "smollm3") return () => rotary;
  const rotates = rotatingLayers(fields);
  return (layer) => rotates(layer) ? rotary : null;
}

/** Gemma 3 has one theta for layers that see a window, and another, which may be scaled, for the others. */
function gemma3Rotaries(fields: Fields, common: RopeRules): { local: Rotary; global: Rotary } {
  const both = fields.raw.rope_parameters ?? null;
  if (both !== null && !isJsonObject(both)) {
    return fields.fail("rope_parameters", "it must be null or an object");
  }
  for (const key of Object.keys(both ?? {})) {
    if (key === SLIDING || key === FULL) continue;
    fields.fail(`rope_parameters.${key}`, `it must hold "${SLIDING}" and "${FULL}"`, both![key]);
  }
  const local = { ...common, thetaField: "rope_local_base_freq", theta: 10000, scalable: false };
  return {
    local: readRotary(fields, local, [[`rope_parameters.${SLIDING}`, both?.[SLIDING]]]),
    global: readRotary(fields, common, [
      [`rope_parameters.${FULL}`, both?.[FULL]],
      ["rope_scaling", fields.raw.rope_scaling],
    ]),
  };
}
