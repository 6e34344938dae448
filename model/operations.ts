/**
 * The operations of a decoder as steps of a program, forward and backward side by side. Sizes are named
 * by the replay: an operation takes the name of its row count ("tokens" or "scored").
 */
import type { Gpu } from "../gpu/device.ts";
import type { InputTextures } from "../gpu/input_textures.ts";
import { BLOCK_ROWS, type Entry, kernel, type Operation } from "../gpu/kernels/mod.ts";
import { type Constants, type Kernel, WORKGROUP } from "../gpu/pipeline.ts";
import {
  f32Bits,
  groupsFor,
  type Input,
  type Launch,
  type Program,
  type View,
} from "../gpu/program.ts";
import { addProduct, type Extent, extent, type Product } from "../gpu/product.ts";
import type { Adapters } from "./adapters.ts";
import type { HalfWeights } from "./half_weights.ts";
import type { Parameter, Part, SlabSet } from "./slabs.ts";

/** Params and grid of an operation of `count` invocations. */
export function elementwise(params: readonly number[], count: number, operations = count): Launch {
  return { params, groups: groupsFor(count, WORKGROUP), operations };
}

/** Weights and, for a policy, their gradients; where kernels read textures, those. */
export interface ParameterStore {
  readonly weights: SlabSet;
  /** What products read instead, where weights are stored as f16. */
  readonly halves?: HalfWeights;
  /** Of what is trained: all weights, or the adapters'. */
  readonly gradients?: SlabSet;
  readonly adapters?: Adapters;
  readonly textures?: InputTextures;
}

/** The part of a matrix that products read. */
export function operandView({ weights, halves }: ParameterStore, part: Part): View {
  return halves?.view(part) ?? weights.view(part);
}

/** An input of so many rows. */
export function rowsOf(view: View, rows: Extent, width: number, inPlace = false): Input {
  return { view, floats: (sizes) => extent(rows, sizes) * width, inPlace };
}

/** Adds operations to one program. */
export class Operations {
  constructor(
    readonly gpu: Gpu,
    readonly program: Program,
    readonly store: ParameterStore,
    /** [ceil(rows / BLOCK_ROWS), widest]: partial sums of column sums. */
    readonly partial: View,
  ) {}

  parameter(name: string): Parameter {
    const parameter = this.store.weights.layout.parameters.get(name);
    if (!parameter) throw new Error(`The model has no parameter "${name}"`);
    return parameter;
  }

  has(name: string): boolean {
    return this.store.weights.layout.parameters.has(name);
  }

  /** Whether a parameter of the model has a gradient. */
  trains(name: string): boolean {
    return this.gradients().layout.parameters.has(name);
  }

  gradients(): SlabSet {
    if (!this.store.gradients) throw new Error("A frozen model has no backward pass");
    return this.store.gradients;
  }

  matmul(product: Product): void {
    addProduct(this.gpu, this.program, product);
  }

  /**
   * A kernel that reads its inputs where this program's kernels do; of `values`, which are named as in
   * its WGSL, some may be stored as f16; `constants` choose a variant.
   */
  kernel<O extends Operation>(
    operation: O,
    entry: Entry<O>,
    values: Readonly<Record<string, View>> = {},
    constants: Constants = {},
  ): Kernel {
    const halves = Object.keys(values).filter((name) => values[name].storage === "f16");
    const textures = this.program.textures !== undefined;
    return kernel(this.gpu, operation, entry, textures, halves, constants);
  }

  /** y [rows, out] = x [rows, in] W^T + bias + residual. */
  linear(name: string, x: View, y: View, rows: Extent, residual?: View): void {
    const weight = this.parameter(`${name}.weight`);
    const bias = this.has(`${name}.bias`) ? this.parameter(`${name}.bias`) : undefined;
    for (const part of weight.parts) {
      this.matmul({
        form: "NT",
        init: residual ? "addend" : "zero",
        a: x,
        b: operandView(this.store, part),
        c: y,
        addend: residual,
        bias: bias && this.store.weights.view(bias.parts[0]),
        shape: {
          m: rows,
          n: part.rowEnd - part.rowBegin,
          k: weight.columns,
          lda: weight.columns,
          ldb: weight.columns,
          ldc: weight.rows,
          column: part.rowBegin,
        },
      });
    }
  }

  /**
   * dx (+)= dy W, dW += dy^T x, dbias += column sums of dy. `dx` may be left out; `first` starts dx at
   * zero.
   */
  linearBackward(
    name: string,
    v: { x: View; dy: View; dx?: View; first?: boolean; rows: Extent },
  ): void {
    const weight = this.parameter(`${name}.weight`);
    const K = weight.columns, N = weight.rows;
    for (const part of weight.parts) {
      const n = part.rowEnd - part.rowBegin;
      // A part of dy's columns: the view starts at them, the stride stays.
      const dy = { buffer: v.dy.buffer, offset: v.dy.offset + part.rowBegin * 4, size: 0 };
      if (v.dx) {
        this.matmul({
          form: "NN",
          init: v.first && part.rowBegin === 0 ? "zero" : "output",
          a: dy,
          b: operandView(this.store, part),
          c: v.dx,
          shape: { m: v.rows, n: K, k: n, lda: N, ldb: K, ldc: K },
        });
      }
      if (!this.trains(`${name}.weight`)) continue;
      this.matmul({
        form: "TN",
        init: "output",
        a: dy,
        b: v.x,
        c: this.gradients().view(part),
        shape: { m: n, n: K, k: v.rows, lda: N, ldb: K, ldc: K },
      });
    }
    this.biasBackward(name, v.dy, v.rows);
  }

  /** dbias += column sums of dy, where there is a bias that is trained. */
  biasBackward(name: string, dy: View, rows: Extent): void {
    const bias = `${name}.bias`;
    if (this.has(bias) && this.trains(bias)) this.sumColumns(bias, dy, rows);
  }

  /** Adds the sums of the columns of `from` [rows, width] to the gradient of a vector. */
  sumColumns(name: string, from: View, rows: Extent): void {
    const parameter = this.parameter(name), width = parameter.columns;
    this.program.add(kernel(this.gpu, "column_sum", "blocks"), [from, this.partial], (sizes) => {
      const r = extent(rows, sizes);
      return elementwise([r, width / 4], Math.ceil(r / BLOCK_ROWS) * width / 4, r * width);
    });
    this.addPartialSums(parameter, rows);
  }

  /** Adds the partial sums of `rows` rows to a parameter's gradient. */
  addPartialSums(parameter: Parameter, rows: Extent): void {
    const views = [this.partial, this.gradients().view(parameter.parts[0])];
    const width4 = parameter.columns / 4;
    this.program.add(kernel(this.gpu, "column_sum", "total"), views, (sizes) => {
      const blocks = Math.ceil(extent(rows, sizes) / BLOCK_ROWS);
      return elementwise([blocks, width4], width4, blocks * width4 * 4);
    });
  }

  /** The weight of a norm, as what a kernel reads. */
  vector(name: string): Input {
    const { parts, columns } = this.parameter(name);
    return rowsOf(this.store.weights.view(parts[0]), 1, columns);
  }

  /**
   * Rotates x [tokens, heads * D] in place; `sign` -1 turns it back. With a `place` only the first `width`
   * values of heads that lie somewhere in a row turn; strides and offset in values.
   */
  rope(
    v: {
      positions: View;
      table: View;
      x: View;
      heads: number;
      headDim: number;
      sign: 1 | -1;
      place?: { width: number; rowStride: number; headStride: number; offset: number };
    },
  ): void {
    const half = (v.place?.width ?? v.headDim) / 2, f16 = v.x.storage === "f16";
    const fours = !f16 && half % 4 === 0;
    const entry = v.place
      ? f16 ? "rotate_part_f16" : fours ? "rotate_part4" : "rotate_part"
      : f16
      ? "rotate_f16"
      : fours
      ? "rotate4"
      : "rotate";
    const tableFloats = (v.table.size || v.table.buffer.size) / 4;
    const width = v.place?.rowStride ?? v.heads * v.headDim;
    const views = fours
      ? [v.positions, rowsOf(v.table, 1, tableFloats), rowsOf(v.x, "tokens", width, true)]
      : [v.positions, v.table, v.x];
    const pairs = f16 ? 2 : fours ? 4 : 1;
    const place = v.place ? [v.place.rowStride, v.place.headStride, v.place.offset] : [];
    this.program.add(
      this.kernel("rope", entry),
      views,
      ({ tokens }) =>
        elementwise(
          [tokens, v.heads, half, f32Bits(v.sign), ...place],
          tokens * v.heads * half / pairs,
          tokens * v.heads * half * 6,
        ),
    );
  }

  swiglu(gate: View, up: View, h: View, width: number): void {
    this.program.add(
      this.kernel("swiglu", "forward", { gate, up, h }),
      [rowsOf(gate, "tokens", width), rowsOf(up, "tokens", width), h],
      ({ tokens }) => elementwise([tokens * width / 4], tokens * width / 4, tokens * width * 20),
    );
  }

  /** In place: gate and up become their gradients. */
  swigluBackward(dh: View, gate: View, up: View, width: number): void {
    this.program.add(
      this.kernel("swiglu", "backward"),
      [
        rowsOf(dh, "tokens", width),
        rowsOf(gate, "tokens", width, true),
        rowsOf(up, "tokens", width, true),
      ],
      ({ tokens }) => elementwise([tokens * width / 4], tokens * width / 4, tokens * width * 30),
    );
  }

  /** dh becomes the gradient of the gate, dUp that of up; gate and up stay. */
  swigluBackwardApart(dh: View, gate: View, up: View, dUp: View, width: number): void {
    const views = [gate, up].map((view) => rowsOf(view, "tokens", width));
    this.program.add(
      this.kernel("swiglu", "backward_apart", { gate, up }),
      [...views, rowsOf(dh, "tokens", width, true), dUp],
      ({ tokens }) => elementwise([tokens * width / 4], tokens * width / 4, tokens * width * 30),
    );
  }

  /** out [rows, C] = rows of a parameter, by id; or out += with "forward_add". */
  embed(
    name: string,
    ids: View,
    out: View,
    rows: Extent,
    entry: "forward" | "forward_add" = "forward",
  ): void {
    const table = this.parameter(name);
    for (const part of table.parts) {
      const views = [ids, this.store.weights.view(part), out];
      this.#gather(views, rows, table.columns / 4, [part.rowBegin, part.rowEnd], entry);
    }
  }

  /** d parameter [row] += sums of d_out over the lists of each id; `distinct` names their number. */
  embedBackward(
    name: string,
    lists: View,
    positions: View,
    dOut: View,
    distinct: "ids" | "distinctPositions" = "ids",
  ): void {
    if (!this.trains(name)) return;
    const table = this.parameter(name);
    const width4 = table.columns / 4;
    for (const part of table.parts) {
      const views = [lists, positions, dOut, this.gradients().view(part)];
      this.program.add(
        kernel(this.gpu, "gather_rows", "backward"),
        views,
        ({ [distinct]: rows, tokens }) =>
          elementwise(
            [rows, width4, part.rowBegin, part.rowEnd],
            rows * width4,
            tokens * width4 * 4,
          ),
      );
    }
  }

  /** out [rows, width] = source[index], for hidden states. */
  gather(index: View, source: View, out: View, rows: Extent, width: number): void {
    this.#gather([index, source, out], rows, width / 4, [0, 0xffffffff]);
  }

  #gather(
    views: readonly View[],
    rows: Extent,
    width4: number,
    [begin, end]: readonly [number, number],
    entry: "forward" | "forward_add" = "forward",
  ): void {
    this.program.add(kernel(this.gpu, "gather_rows", entry), views, (sizes) => {
      const count = extent(rows, sizes);
      return elementwise([count, width4, begin, end], count * width4, count * width4 * 4);
    });
  }

  /** source gradient [row] += the rows of dOut gathered from it; "sources" counts the distinct rows. */
  gatherBackward(lists: View, positions: View, dOut: View, dSource: View, width: number): void {
    const views = [lists, positions, dOut, dSource];
    const width4 = width / 4;
    this.program.add(
      kernel(this.gpu, "gather_rows", "backward"),
      views,
      ({ sources, scored }) =>
        elementwise([sources, width4, 0, 0xffffffff], sources * width4, scored * width4 * 4),
    );
  }
}
