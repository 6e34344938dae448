/** Small models as folders, for tests that write and read GGUF files. */
import { openModelFolder } from "../../model/model_folder.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { initParameter, parameterList } from "../../model/param_table.ts";
import { encodeSafetensors } from "../../model/safetensors_write.ts";
import type { TokenizerFiles } from "../../data/tokenizer.ts";
import { writeFiles } from "../model_files/temporary_folder.ts";
import { sentencePiece } from "./small_tokenizers.ts";

/** Fields of a config that every small model has; rows of 32 values, so that Q8_0 has whole blocks. */
export const SMALL = {
  vocab_size: 320,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  bos_token_id: 1,
  eos_token_id: 2,
} as const;

/** Writes a model with random weights, norms and biases among them, and a tokenizer; returns its values. */
export function writeSmallModel(
  dir: string,
  fields: Readonly<Record<string, unknown>>,
  { tokenizer, config }: TokenizerFiles = sentencePiece(),
): Map<string, Float32Array> {
  const configText = JSON.stringify({ ...SMALL, ...fields });
  const tensors = parameterList(parseArchitecture(configText, "config.json")).map(
    ({ name, shape, start }) => {
      const values = initParameter({ name, shape, start: "normal" }, { seed: 3, std: 0.1 });
      const data = start === "ones" ? values.map((x) => 1 + x) : values;
      return { name, shape, dtype: "F32" as const, data };
    },
  );
  Deno.mkdirSync(dir, { recursive: true });
  writeFiles(dir, {
    "config.json": configText,
    "model.safetensors": encodeSafetensors(tensors),
    "tokenizer.json": tokenizer,
    "tokenizer_config.json": config!,
  });
  return new Map(tensors.map(({ name, data }) => [name, data]));
}

/** All values of a model by name. */
export function valuesOf(place: string): Map<string, Float32Array> {
  using folder = openModelFolder(place);
  return new Map(folder.parameters.map(({ name }) => [name, folder.readParameter(name)]));
}
