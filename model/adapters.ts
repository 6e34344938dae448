/**
 * Adapters on the GPU: y += scale (x A^T) B^T after a frozen product, and back. With s the scale,
 *
 *   u = s x A^T;  y += u B^T;  v = s dy B;  dB += dy^T u;  dA += v^T x;  dx += v A
 *
 * u [rows, r] is computed again in the backward pass: it costs r operations a value of x. What an adapter
 * is stands in `lora.ts`.
 */
import type { Gpu } from "../gpu/device.ts";
import type { View } from "../gpu/program.ts";
import type { Extent } from "../gpu/product.ts";
import type { Architecture } from "./architecture.ts";
import { addScale } from "./layer_operations.ts";
import { adapterList, adapterNames, loraScale, type LoraSettings, storedRank } from "./lora.ts";
import type { Operations } from "./operations.ts";
import { type Layout, layOut, type Parameter, SlabSet } from "./slabs.ts";

/** How the adapters' parameters lie on the GPU. */
export function adapterLayout(gpu: Gpu, config: Architecture, settings: LoraSettings): Layout {
  const { bindingLimit, offsetAlignment } = gpu.capabilities;
  return layOut(adapterList(config, settings), bindingLimit, offsetAlignment);
}

/** Bytes a token costs: u and v. */
export function adapterBytesPerToken(settings: LoraSettings): number {
  return 2 * 4 * storedRank(settings);
}

export class Adapters {
  readonly weights: SlabSet;
  readonly #gpu: Gpu;
  readonly #scale: number;
  readonly #rank: number;
  readonly #u: View;
  readonly #v: View;

  constructor(gpu: Gpu, layout: Layout, settings: LoraSettings, tokens: number) {
    this.#gpu = gpu;
    this.#scale = loraScale(settings);
    this.#rank = storedRank(settings);
    this.weights = new SlabSet(gpu, layout, "adapters");
    const view = (label: string): View => ({
      buffer: gpu.createBuffer(label, tokens * this.#rank * 4),
      offset: 0,
      size: 0,
    });
    this.#u = view("adapter inputs");
    this.#v = view("adapter gradients");
  }

  /** A [r, in] and B [out, r] of a module; undefined where it has no adapter. */
  #of(module: string): { a: Parameter; b: Parameter } | undefined {
    const names = adapterNames(module), { parameters } = this.weights.layout;
    const a = parameters.get(names.a), b = parameters.get(names.b);
    return a && b && { a, b };
  }

  #inputs(o: Operations, a: Parameter, x: View, rows: Extent): void {
    const k = a.columns;
    o.matmul({
      form: "NT",
      init: "zero",
      a: x,
      b: this.weights.view(a.parts[0]),
      c: this.#u,
      shape: { m: rows, n: this.#rank, k, lda: k, ldb: k, ldc: this.#rank },
    });
    addScale(o, this.#u, this.#rank, this.#scale);
  }

  /** Adds the adapter of a module, if it has one, to y [rows, out]. */
  forward(o: Operations, module: string, x: View, y: View, rows: Extent): void {
    const own = this.#of(module);
    if (!own) return;
    this.#inputs(o, own.a, x, rows);
    const r = this.#rank, n = own.b.rows;
    o.matmul({
      form: "NT",
      init: "output",
      a: this.#u,
      b: this.weights.view(own.b.parts[0]),
      c: y,
      shape: { m: rows, n, k: r, lda: r, ldb: r, ldc: n },
    });
  }

  /** Adds to the gradients of a module's adapter, and to dx [rows, in] what comes through it. */
  backward(
    o: Operations,
    module: string,
    v: { x: View; dy: View; dx: View; rows: Extent },
  ): void {
    const own = this.#of(module);
    if (!own) return;
    const { x, dy, dx, rows } = v, r = this.#rank, inputs = own.a.columns, n = own.b.rows;
    const [a, b] = [own.a.parts[0], own.b.parts[0]], gradients = o.gradients();
    this.#inputs(o, own.a, x, rows);
    o.matmul({
      form: "TN",
      init: "output",
      a: dy,
      b: this.#u,
      c: gradients.view(b),
      shape: { m: n, n: r, k: rows, lda: n, ldb: r, ldc: r },
    });
    o.matmul({
      form: "NN",
      init: "zero",
      a: dy,
      b: this.weights.view(b),
      c: this.#v,
      shape: { m: rows, n: r, k: n, lda: n, ldb: r, ldc: r },
    });
    addScale(o, this.#v, r, this.#scale);
    o.matmul({
      form: "TN",
      init: "output",
      a: this.#v,
      b: x,
      c: gradients.view(a),
      shape: { m: r, n: inputs, k: rows, lda: r, ldb: inputs, ldc: inputs },
    });
    o.matmul({
      form: "NN",
      init: "output",
      a: this.#v,
      b: this.weights.view(a),
      c: dx,
      shape: { m: rows, n: inputs, k: r, lda: r, ldb: inputs, ldc: inputs },
    });
  }

  destroy(): void {
    this.weights.destroy();
    for (const { buffer } of [this.#u, this.#v]) this.#gpu.destroyMemory(buffer);
  }
}
