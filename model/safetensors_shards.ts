/**
 * The weights of a model folder as one safetensors file or several with an index, named as in Hugging
 * Face folders. Tensors keep their order: a file is full when the next one would make it larger than
 * the limit.
 */
import { bytesOf } from "./dtype.ts";
import { writeSynced } from "./durable_file.ts";
import { ModelError, quoted } from "./error.ts";
import { elementCount } from "./safetensors_header.ts";
import { SafetensorsWriter, type TensorSpec } from "./safetensors_write.ts";

function bytesIn({ shape, dtype }: TensorSpec): number {
  return elementCount(shape) * bytesOf(dtype);
}

/**
 * Parts of `specs` with at most `maxBytes` of tensor data each; a larger tensor is a part of its own.
 * There is at least one part.
 */
export function splitTensors(specs: readonly TensorSpec[], maxBytes: number): TensorSpec[][] {
  const parts: TensorSpec[][] = [[]];
  let bytes = 0;
  for (const spec of specs) {
    const size = bytesIn(spec), last = parts.at(-1)!;
    if (last.length > 0 && bytes + size > maxBytes) {
      parts.push([spec]);
      bytes = size;
    } else {
      last.push(spec);
      bytes += size;
    }
  }
  return parts;
}

/** Writes the weights into `dir`; tensors may come in any order. Used as a `SafetensorsWriter` is. */
export class WeightsWriter implements Disposable {
  readonly #dir: string;
  readonly #writers: readonly SafetensorsWriter[];
  readonly #owners = new Map<
    string,
    { readonly writer: SafetensorsWriter; readonly file: string }
  >();
  readonly #totalBytes: number;

  /** @throws ModelError for bad specs; Error naming the path when the file system refuses */
  constructor(dir: string, specs: readonly TensorSpec[], maxShardBytes: number) {
    this.#dir = dir;
    this.#totalBytes = specs.reduce((sum, spec) => sum + bytesIn(spec), 0);
    const parts = splitTensors(specs, maxShardBytes);
    const writers: SafetensorsWriter[] = [];
    this.#writers = writers;
    const number = (n: number) => String(n).padStart(5, "0");
    try {
      parts.forEach((part, i) => {
        const file = parts.length === 1
          ? "model.safetensors"
          : `model-${number(i + 1)}-of-${number(parts.length)}.safetensors`;
        const writer = new SafetensorsWriter(`${dir}/${file}`, part);
        writers.push(writer);
        for (const { name } of part) this.#owners.set(name, { writer, file });
      });
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** As `SafetensorsWriter.write`. */
  write(name: string, data: Float32Array): void {
    const owner = this.#owners.get(name);
    if (owner === undefined) {
      throw new ModelError(
        `Cannot write ${quoted(this.#dir)}: tensor ${quoted(name)} is not announced`,
      );
    }
    owner.writer.write(name, data);
  }

  /** Makes the files visible, the index last. @throws ModelError naming a tensor that is missing */
  finish(): void {
    for (const writer of this.#writers) writer.finish();
    if (this.#writers.length === 1) return;
    const files = [...this.#owners].map(([name, { file }]) => [name, file]);
    const index = {
      metadata: { total_size: this.#totalBytes },
      weight_map: Object.fromEntries(files),
    };
    const text = JSON.stringify(index, null, 2) + "\n";
    writeSynced(`${this.#dir}/model.safetensors.index.json`, new TextEncoder().encode(text));
  }

  /** Drops what was written. Does nothing after `finish`. */
  abort(): void {
    for (const writer of this.#writers) writer.abort();
  }

  [Symbol.dispose](): void {
    this.abort();
  }
}
