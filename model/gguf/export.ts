/** A model folder as a GGUF file. Matrices get the asked type, vectors and positions stay F32. */
import { type Architecture, rotaries } from "../architecture.ts";
import { ModelError, quoted } from "../error.ts";
import type { ModelFolder } from "../model_folder.ts";
import { elementCount } from "../safetensors_header.ts";
import { rowOrder, shiftByOne, transpose } from "./changes.ts";
import { modelMetadata, writtenArchitecture } from "./config_write.ts";
import { ggufTensor, type RenamedTensor } from "./names.ts";
import type { WrittenType } from "./quantize.ts";
import { llama3Factors } from "./rope_factors.ts";
import { ROPE_FACTORS } from "./store.ts";
import { blockOf } from "./tensor_types.ts";
import { type GgufVocabulary, vocabularyMetadata } from "./vocabulary.ts";
import { type GgufTensorData, writeGgufFile } from "./write.ts";

const FILE_TYPES: Readonly<Record<WrittenType, number>> = { F32: 0, F16: 1, Q8_0: 7 };

/** Values read at once of a tensor that keeps its order. */
const PART_VALUES = 4 * 1024 * 1024;

/** What is written, and where. */
export interface GgufExport {
  readonly out: string;
  readonly dtype: WrittenType;
  /** `general.name`. */
  readonly name: string;
  readonly vocabulary: GgufVocabulary;
}

/**
 * Writes `folder` as a GGUF file.
 *
 * @returns the number of tensors
 * @throws ModelError: an architecture or a feature that GGUF files cannot say, a value that is not
 * finite or too large for its type; Error naming the path when the file system refuses
 */
export function exportGguf(
  folder: ModelFolder,
  { out, dtype, name, vocabulary }: GgufExport,
): number {
  const model = folder.config;
  const metadata = modelMetadata(model, { name, fileType: FILE_TYPES[dtype] });
  const tensors = [
    ...folder.parameters.map((parameter) => tensorOf(folder, parameter, model, dtype)),
    ...ropeFactors(model),
  ];
  writeGgufFile(out, [...metadata, ...vocabularyMetadata(vocabulary)], tensors);
  return tensors.length;
}

function tensorOf(
  folder: ModelFolder,
  parameter: { readonly name: string; readonly shape: readonly number[] },
  model: Architecture,
  dtype: WrittenType,
): GgufTensorData {
  const renamed = ggufTensor(writtenArchitecture(model).tensors, parameter.name);
  if (renamed === undefined) {
    throw new ModelError(
      `Cannot write the model as GGUF: ${quoted(model.modelType)} files have no place for ` +
        `${quoted(parameter.name)}`,
    );
  }
  const shape = renamed.change === "transposed" ? parameter.shape.toReversed() : parameter.shape;
  return {
    name: renamed.name,
    shape,
    type: storedType(renamed.name, shape, dtype),
    values: () => partsOf(folder, parameter, renamed, model),
  };
}

function storedType(name: string, shape: readonly number[], dtype: WrittenType): WrittenType {
  if (shape.length < 2 || name === "position_embd.weight") return "F32";
  // A row must be whole blocks; where it is not, the next wider type holds it.
  return shape.at(-1)! % blockOf(dtype).values === 0 ? dtype : "F16";
}

function* partsOf(
  folder: ModelFolder,
  { name, shape }: { readonly name: string; readonly shape: readonly number[] },
  { change }: RenamedTensor,
  model: Architecture,
): Generator<Float32Array> {
  const rows = shape[0] ?? 1, columns = elementCount(shape.slice(1));
  if (change === "transposed") {
    yield transpose(folder.readParameter(name), rows, columns);
    return;
  }
  const order = rowOrder(change, rows, model, "toGguf");
  if (order !== undefined) {
    const values = folder.readParameter(name), moved = new Float32Array(values.length);
    for (let row = 0; row < rows; row++) {
      const from = order(row) * columns;
      moved.set(values.subarray(from, from + columns), row * columns);
    }
    yield moved;
    return;
  }
  const step = Math.max(1, Math.floor(PART_VALUES / columns));
  // A vector is one row of the file, and its blocks would not be cut: parts are whole blocks anyway.
  for (let row = 0; row < rows; row += step) {
    const part = folder.readParameter(name, row, Math.min(row + step, rows));
    if (change === "one") shiftByOne(part, "toGguf");
    yield part;
  }
}

function ropeFactors(model: Architecture): GgufTensorData[] {
  const [rope] = rotaries(model);
  if (rope?.scaling?.kind !== "llama3") return [];
  const factors = llama3Factors(rope.scaling, rope.theta, rope.width);
  return [{ name: ROPE_FACTORS, shape: [factors.length], type: "F32", values: () => [factors] }];
}
