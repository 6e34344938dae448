/**
 * Where parameters live on the GPU: in slabs no larger than one binding, weights, gradients and moments
 * with the same layout. A parameter too large for a slab spans several, split by rows.
 */
import type { Gpu } from "../gpu/device.ts";
import type { View } from "../gpu/program.ts";
import type { NamedTensor } from "./engine.ts";
import type { ParameterSpec } from "./param_table.ts";
import { ModelError } from "./error.ts";

/** Rows between possible splits of a parameter. */
export const SPLIT_ROWS = 256;

/** Rows `[rowBegin, rowEnd)` of a parameter, in one slab. */
export interface Part {
  readonly slab: number;
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
  readonly rowBegin: number;
  readonly rowEnd: number;
}

export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly rows: number;
  readonly columns: number;
  readonly parts: readonly Part[];
}

export interface Slab {
  readonly bytes: number;
  /** Weight decay applies to the whole slab or to none of it. */
  readonly decay: boolean;
}

export interface Layout {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly slabs: readonly Slab[];
  readonly bytes: number;
}

/** Lays parameters out; `limit` is the largest slab in bytes, `align` that of an offset. */
export function layOut(
  specs: readonly Omit<ParameterSpec, "start">[],
  limit: number,
  align: number,
): Layout {
  const slabs: { bytes: number; decay: boolean }[] = [];
  const parameters = new Map<string, Parameter>();
  const place = (bytes: number, decay: boolean): { slab: number; offset: number } => {
    const last = slabs.at(-1);
    const offset = last ? Math.ceil(last.bytes / align) * align : 0;
    if (!last || last.decay !== decay || offset + bytes > limit) {
      slabs.push({ bytes, decay });
      return { slab: slabs.length - 1, offset: 0 };
    }
    last.bytes = offset + bytes;
    return { slab: slabs.length - 1, offset };
  };
  for (const decay of [true, false]) {
    for (const spec of specs) {
      if (spec.decay !== decay) continue;
      const rows = spec.shape.length === 1 ? 1 : spec.shape[0];
      const columns = spec.shape.at(-1)!;
      if (columns % 4 !== 0) {
        throw new ModelError(
          `Cannot place tensor "${spec.name}": rows of ${columns} values are no multiple of 4`,
        );
      }
      const rowBytes = columns * 4;
      // Parts begin at multiples of a vocabulary strip: aligned columns, and the same sums as unsplit.
      const perPart = rows * rowBytes <= limit
        ? rows
        : Math.floor(limit / rowBytes / SPLIT_ROWS) * SPLIT_ROWS;
      if (perPart === 0) {
        throw new ModelError(
          `Cannot place tensor "${spec.name}": ${SPLIT_ROWS} rows of ${rowBytes} bytes exceed a ` +
            `binding of ${limit} bytes`,
        );
      }
      const parts: Part[] = [];
      for (let row = 0; row < rows; row += perPart) {
        const rowEnd = Math.min(rows, row + perPart);
        const size = (rowEnd - row) * rowBytes;
        parts.push({ ...place(size, decay), size, rowBegin: row, rowEnd });
      }
      parameters.set(spec.name, { name: spec.name, shape: spec.shape, rows, columns, parts });
    }
  }
  return { parameters, slabs, bytes: slabs.reduce((sum, slab) => sum + slab.bytes, 0) };
}

/** Bytes of neighbouring parameters that are read back at once. */
const READ_TOGETHER = 2 ** 22;

/** One value for every parameter (weights, or gradients, or a moment). */
export class SlabSet {
  readonly #gpu: Gpu;
  readonly layout: Layout;
  readonly buffers: readonly GPUBuffer[];

  constructor(gpu: Gpu, layout: Layout, label: string) {
    this.#gpu = gpu;
    this.layout = layout;
    this.buffers = layout.slabs.map((slab, i) => gpu.createBuffer(`${label} ${i}`, slab.bytes));
  }

  view(part: Part): View {
    return { buffer: this.buffers[part.slab], offset: part.offset, size: part.size };
  }

  write(name: string, data: Float32Array): void {
    const { parts, columns, rows } = this.#parameter(name);
    if (data.length !== rows * columns) {
      throw new ModelError(
        `Cannot set tensor "${name}": ${data.length} values given, ${rows * columns} expected`,
      );
    }
    for (const part of parts) {
      this.#gpu.write(
        this.buffers[part.slab],
        data.subarray(part.rowBegin * columns, part.rowEnd * columns),
        part.offset,
      );
    }
  }

  async read(name: string): Promise<Float32Array> {
    const { parts, columns, rows } = this.#parameter(name);
    const data = new Float32Array(rows * columns);
    for (const part of parts) {
      const bytes = await this.#gpu.read(this.buffers[part.slab], part.size, part.offset);
      data.set(new Float32Array(bytes), part.rowBegin * columns);
    }
    return data;
  }

  /**
   * All values, one parameter at a time, named with a prefix. Small parameters that lie one after the
   * other are read at once: a read-back takes 11 ms, whatever its size.
   */
  async *tensors(prefix = ""): AsyncIterable<NamedTensor> {
    let slab = -1, begin = 0, bytes = new ArrayBuffer(0);
    for (const { name, shape, parts } of this.layout.parameters.values()) {
      const [{ slab: own, offset, size }] = parts;
      const together = parts.length === 1 && size <= READ_TOGETHER;
      if (!together) {
        yield { name: prefix + name, shape, data: await this.read(name) };
        continue;
      }
      if (own !== slab || offset < begin || offset + size > begin + bytes.byteLength) {
        [slab, begin] = [own, offset];
        const rest = this.layout.slabs[own].bytes - offset;
        bytes = await this.#gpu.read(this.buffers[own], Math.min(READ_TOGETHER, rest), offset);
      }
      const data = new Float32Array(bytes.slice(offset - begin, offset - begin + size));
      yield { name: prefix + name, shape, data };
    }
  }

  clear(): void {
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const buffer of this.buffers) encoder.clearBuffer(buffer);
    this.#gpu.submit(encoder);
  }

  destroy(): void {
    for (const buffer of this.buffers) this.#gpu.destroyMemory(buffer);
  }

  #parameter(name: string): Parameter {
    const parameter = this.layout.parameters.get(name);
    if (!parameter) throw new ModelError(`There is no parameter "${name}" in this model`);
    return parameter;
  }
}
