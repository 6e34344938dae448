/** The feed-forward half of a layer, forward and backward: norms where there are any, plain or gated. */
import type { View } from "../gpu/program.ts";
import type { BackwardScratch, LayerActivations } from "./activations.ts";
import type { Architecture } from "./architecture.ts";
import {
  addActivation,
  addActivationBackward,
  transposedLinear,
  transposedLinearBackward,
} from "./layer_operations.ts";
import { addNorm, addNormBackward } from "./norm_operations.ts";
import type { Operations } from "./operations.ts";
import type { ActivationName } from "./recompute.ts";

const rows = "tokens";

/** y = x W + bias + residual, whichever way W stands in the model's files. */
export function addLinear(
  config: Architecture,
  o: Operations,
  name: string,
  { x, y, residual }: { x: View; y: View; residual?: View },
): void {
  if (config.names.transposed) transposedLinear(o, name, x, y, rows, residual);
  else o.linear(name, x, y, rows, residual);
  o.store.adapters?.forward(o, name, x, y, rows);
}

/** The backward pass of `addLinear`; `first` starts dx at zero. */
export function addLinearBackward(
  config: Architecture,
  o: Operations,
  name: string,
  v: { x: View; dy: View; dx: View; first: boolean },
): void {
  if (config.names.transposed) transposedLinearBackward(o, name, { ...v, rows });
  else o.linearBackward(name, { ...v, rows });
  o.store.adapters?.backward(o, name, { ...v, rows });
}

export class MlpBlock {
  readonly #config: Architecture;

  constructor(config: Architecture) {
    this.#config = config;
  }

  #name(index: number, part: string | undefined): string {
    return `${this.#config.names.layers}.${index}.${part}`;
  }

  /** All but the layer's output, or of that what is `wanted`. */
  forward(
    o: Operations,
    index: number,
    a: LayerActivations,
    wanted: (name: ActivationName) => boolean,
  ): void {
    const config = this.#config, { layer } = config.names, { norm, normEps: eps } = config;
    const linear = (part: string | undefined, x: View, y: View) =>
      addLinear(config, o, this.#name(index, part), { x, y });
    const from = config.parallel ? a.x : a.xMid, x = a.n2 ?? from;
    if (a.n2 && wanted("n2")) {
      const name = this.#name(index, layer.preMlpNorm);
      addNorm(o, norm, name, { x: from, y: a.n2, inv: a.inv2!, rows, eps });
    }
    if (a.gate && wanted("gate")) linear(layer.gate, x, a.gate);
    if (a.up && wanted("up")) linear(layer.up, x, a.up);
    if (a.gateUp && wanted("gateUp")) linear(layer.gateUp, x, a.gateUp);
    if (wanted("h")) addActivation(o, config.activation, a, config.intermediateSize);
    if (a.fed && wanted("fed")) linear(layer.down, a.h, a.fed);
  }

  /** What the layer gives: its middle and what the MLP adds. */
  output(o: Operations, index: number, a: LayerActivations, out: View): void {
    const config = this.#config, { layer } = config.names, { norm, normEps: eps } = config;
    if (!a.fed) {
      const views = { x: a.h, y: out, residual: a.xMid };
      return addLinear(config, o, this.#name(index, layer.down), views);
    }
    const views = { x: a.fed, y: out, inv: a.invFed!, residual: a.xMid, rows, eps };
    addNorm(o, norm, this.#name(index, layer.postMlpNorm), views);
  }

  /**
   * From the gradient of the layer's output in `dx` to that of its middle there; of a parallel layer to
   * that of the normed input in `dBranch`.
   */
  backward(o: Operations, index: number, a: LayerActivations, s: BackwardScratch): void {
    const config = this.#config, { layer } = config.names, { norm, normEps: eps } = config;
    const { intermediateSize: F, parallel } = config;
    const branch = a.fed ? s.dBranch! : s.dx;
    if (a.fed) {
      const views = { x: a.fed, inv: a.invFed!, dy: s.dx, apart: branch, rows, eps };
      addNormBackward(o, norm, this.#name(index, layer.postMlpNorm), views);
    }
    const down = { x: a.h, dy: branch, dx: s.dh, first: true };
    addLinearBackward(config, o, this.#name(index, layer.down), down);
    const views = { gate: a.gate, up: a.up, gateUp: a.gateUp, dh: s.dh, apart: s.dUp };
    const d = addActivationBackward(o, config.activation, views, F);
    const x = a.n2 ?? a.xMid, dx = !a.n2 ? s.dx : parallel ? s.dBranch! : s.dNorm;
    const inputs = [[layer.gate, d.gate], [layer.up, d.up], [layer.gateUp, d.gateUp]] as const;
    let first = a.n2 !== undefined;
    for (const [part, dy] of inputs) {
      if (!dy) continue;
      addLinearBackward(config, o, this.#name(index, part), { x, dy, dx, first });
      first = false;
    }
    if (!a.n2 || parallel) return;
    const middle = { x: a.xMid, inv: a.inv2!, dy: s.dNorm, dx: s.dx, rows, eps };
    addNormBackward(o, norm, this.#name(index, layer.preMlpNorm), middle);
  }
}
