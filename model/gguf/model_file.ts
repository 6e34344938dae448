/** A GGUF file as a model: where it is, its `config.json` and its weights by their usual names. */
import { ModelError, quoted } from "../error.ts";
import type { TensorStore } from "../safetensors.ts";
import type { JsonObject } from "../strict_json.ts";
import { readGgufConfig } from "./config_read.ts";
import { GgufFile } from "./file.ts";
import { ggufStore } from "./store.ts";
import type { GgufMetadata } from "./value_types.ts";

/** What is read of the file before any weight. */
export interface GgufModel {
  readonly path: string;
  /** The folder the file lies in: other files of the model may lie beside it. */
  readonly dir: string;
  readonly metadata: GgufMetadata;
  /** A `config.json` that says the same. */
  readonly configText: string;
  readonly store: TensorStore;
}

/**
 * The GGUF file that `place` means: a file of that ending, or the only one in a folder without
 * `config.json`; undefined when it means another kind of model.
 *
 * @throws ModelError when a folder has several
 */
export function findGgufFile(place: string): string | undefined {
  if (/\.gguf$/i.test(place)) return place;
  let names: string[];
  try {
    names = [...Deno.readDirSync(place)].map(({ name }) => name);
  } catch {
    // What cannot be read is reported by who reads it as a folder of the usual kind.
    return undefined;
  }
  if (names.includes("config.json")) return undefined;
  const found = names.filter((name) => /\.gguf$/i.test(name)).sort();
  if (found.length > 1) {
    throw new ModelError(
      `Cannot read the model ${quoted(place)}: it has the files ${
        found.join(", ")
      }; name one of them`,
    );
  }
  return found.length === 1 ? `${place}/${found[0]}` : undefined;
}

/** Opens a file. @throws ModelError naming it, and the key or tensor where there is one */
export function openGgufModel(path: string): GgufModel {
  const file = GgufFile.open(path);
  try {
    const { architecture, config } = readGgufConfig(file);
    const heads = Number(config.num_attention_heads ?? config.n_head);
    const store = ggufStore(file, architecture.tensors, {
      numAttentionHeads: heads,
      numKeyValueHeads: Number(config.num_key_value_heads ?? heads),
    });
    return {
      path,
      dir: /^(.*)[/\\][^/\\]*$/.exec(path)?.[1] || (/^[/\\]/.test(path) ? "/" : "."),
      metadata: file.metadata,
      configText: configText(config),
      store,
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Fields that transformers insists on reading as floating-point numbers: 4 is refused, 4.0 is not. */
const FLOATS = [
  "attn_logit_softcapping",
  "factor",
  "final_logit_softcapping",
  "high_freq_factor",
  "low_freq_factor",
  "partial_rotary_factor",
  "rope_local_base_freq",
  "rope_theta",
  "rotary_pct",
];

function configText(config: JsonObject): string {
  const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;
  const withPoint = (key: string, value: unknown) =>
    Number.isInteger(value) && FLOATS.includes(key) ? rawJson(`${value}.0`) : value;
  return JSON.stringify(config, withPoint, 2) + "\n";
}
