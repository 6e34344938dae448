/**
 * The metadata of a model, as readers of GGUF files want them. What such a reader has built in (which
 * layers of Gemma 3 see a window, how Gemma scales attention) has no key: a model that differs there
 * cannot be written.
 */
import { type Architecture, type LayerKind, layerKind, type Rotary } from "../architecture.ts";
import { ModelError, quoted } from "../error.ts";
import { architectureOf, type GgufArchitecture } from "./architectures.ts";
import { activationsOf, attentionWidthOf, hasFullAttention, hasRotary } from "./built_in.ts";
import type { GgufValue } from "./value_types.ts";

type Entry = readonly [key: string, value: GgufValue];

/** What the file is called and stored as. */
export interface FileFacts {
  readonly name: string;
  /** `general.file_type`: 0 F32, 1 F16, 7 Q8_0. */
  readonly fileType: number;
}

/** Version of the quantized formats that are written. */
const QUANTIZATION_VERSION = 2;

const u32 = (value: number): GgufValue => ({ type: "u32", value });
const f32 = (value: number): GgufValue => ({ type: "f32", value });
const text = (value: string): GgufValue => ({ type: "string", value });

/** The architecture that a model is written as. @throws ModelError where GGUF has none such */
export function writtenArchitecture({ modelType }: Architecture): GgufArchitecture {
  const found = architectureOf(modelType);
  if (found !== undefined) return found;
  throw new ModelError(
    `Cannot write the model as GGUF: model_type ${quoted(modelType)} is not supported there`,
  );
}

/**
 * All metadata but the tokenizer's.
 *
 * @throws ModelError when a reader would compute another model
 */
export function modelMetadata(model: Architecture, file: FileFacts): Entry[] {
  const architecture = writtenArchitecture(model), { name } = architecture;
  checkBuiltIn(name, model);
  const rope = kindOf(model, (i) => hasFullAttention(name, i) && hasRotary(name, i)).rotary;
  const sizes: Readonly<Record<string, number>> = {
    context_length: model.maxPositionEmbeddings,
    embedding_length: model.hiddenSize,
    block_count: model.numHiddenLayers,
    feed_forward_length: model.intermediateSize,
    "attention.head_count": model.numAttentionHeads,
    "attention.head_count_kv": model.numKeyValueHeads,
  };
  const own: (readonly [string, GgufValue])[] = [
    ["vocab_size", u32(model.vocabSize)],
    ...Object.keys(architecture.sizes).map((key): Entry => [key, u32(sizes[key])]),
    [architecture.eps[0], f32(model.normEps)],
  ];
  if (rope !== null) {
    own.push(...ropeMetadata(rope, model.headDim));
  }
  own.push(...ownMetadata(name, model));
  return [
    ["general.architecture", text(name)],
    ["general.type", text("model")],
    ["general.name", text(file.name)],
    ["general.file_type", u32(file.fileType)],
    ["general.quantization_version", u32(QUANTIZATION_VERSION)],
    ...own.map(([key, value]): Entry => [`${name}.${key}`, value]),
  ];
}

function ropeMetadata(rope: Rotary, headDim: number): Entry[] {
  const own: Entry[] = [
    ["attention.key_length", u32(headDim)],
    ["attention.value_length", u32(headDim)],
    ["rope.dimension_count", u32(rope.width)],
    ["rope.freq_base", f32(rope.theta)],
  ];
  if (rope.scaling?.kind === "linear") {
    own.push(
      ["rope.scaling.type", text("linear")],
      ["rope.scaling.factor", f32(rope.scaling.factor)],
    );
  } else if (rope.scaling?.kind === "llama3") {
    // The rest of this scaling is a tensor.
    const original = u32(rope.scaling.originalMaxPositionEmbeddings);
    own.push(["rope.scaling.original_context_length", original]);
  }
  return own;
}

function ownMetadata(name: string, model: Architecture): Entry[] {
  const local = kindOf(model, (layer) => !hasFullAttention(name, layer));
  if (name === "gptneox") {
    return [["use_parallel_residual", { type: "bool", value: model.parallel }]];
  }
  if (name === "phi3") return [["attention.sliding_window", u32(local.slidingWindow ?? 0)]];
  if (name !== "gemma2" && name !== "gemma3") return [];
  const entries: Entry[] = [
    // Where no text is longer than the window it may be any that is not shorter.
    ["attention.sliding_window", u32(local.slidingWindow ?? model.maxPositionEmbeddings)],
  ];
  if (model.attentionSoftcap !== null) {
    entries.push(["attn_logit_softcapping", f32(model.attentionSoftcap)]);
  }
  if (model.logitSoftcap !== null) {
    entries.push(["final_logit_softcapping", f32(model.logitSoftcap)]);
  }
  if (name === "gemma3") entries.push(["rope.freq_base_swa", f32(local.rotary!.theta)]);
  return entries;
}

/** The kind of the first layer that `wanted` is true for; of the first of all where there is none. */
function kindOf(model: Architecture, wanted: (layer: number) => boolean): LayerKind {
  for (let layer = 0; layer < model.numHiddenLayers; layer++) {
    if (wanted(layer)) return layerKind(model, layer);
  }
  return model.layerKinds[0];
}

function checkBuiltIn(name: string, model: Architecture): void {
  const refuse = (what: string): never => {
    throw new ModelError(`Cannot write the model as GGUF: readers of ${name} files ${what}`);
  };
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const full = kindOf(model, (layer) => hasFullAttention(name, layer) && hasRotary(name, layer));
  const local = kindOf(model, (layer) => !hasFullAttention(name, layer));
  for (let layer = 0; layer < model.numHiddenLayers; layer++) {
    const kind = layerKind(model, layer), takesAll = hasFullAttention(name, layer);
    if (takesAll && kind.slidingWindow !== null) {
      refuse(
        `let layer ${layer} see everything, this model only ${kind.slidingWindow} tokens; texts that ` +
          `are not longer are the same without sliding_window in config.json`,
      );
    }
    const expected = takesAll ? full : local;
    if (kind.slidingWindow !== expected.slidingWindow) refuse(`take a window in layer ${layer}`);
    const rotary = hasRotary(name, layer) ? expected.rotary : null;
    if (!same(kind.rotary, rotary)) refuse(`have another rotary embedding in layer ${layer}`);
  }
  if (!activationsOf(name).includes(model.activation)) {
    refuse(`know ${activationsOf(name)}, this model has ${model.activation}`);
  }
  const scale = attentionWidthOf(name, model) ** -0.5;
  if (Math.abs(model.attentionScale / scale - 1) > 1e-6) {
    refuse(`scale attention by ${scale}, this model by ${model.attentionScale}`);
  }
  if (full.rotary?.scaling?.kind === "llama3" && name !== "llama") {
    refuse("know no llama3 scaling of the rotary embedding");
  }
}
