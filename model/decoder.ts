/**
 * A decoder as programs over a chunk: trunk (embedding and layers), head (see `head.ts`) and backward,
 * which computes again what layers did not keep. Straight-line, forward and backward by hand, out of the
 * architecture's description; the layers' two halves are in `attention_block.ts` and `mlp_block.ts`.
 */
import type { Gpu } from "../gpu/device.ts";
import { Program, type View } from "../gpu/program.ts";
import type { Activations, Capacity, LayerActivations } from "./activations.ts";
import type { Architecture, Rotary } from "./architecture.ts";
import { AttentionBlock } from "./attention_block.ts";
import { Head } from "./head.ts";
import { addScale } from "./layer_operations.ts";
import { addNormBackward } from "./norm_operations.ts";
import { MlpBlock } from "./mlp_block.ts";
import { Operations, type ParameterStore } from "./operations.ts";
import { type ActivationName, sharedValues } from "./recompute.ts";

/** Integer inputs of a chunk and the rotary tables, on the GPU. */
export interface Inputs {
  readonly ids: View;
  readonly positions: View;
  readonly mask: View;
  readonly queryBlocks: View;
  readonly keyBlocks: View;
  readonly sources: View;
  readonly targets: View;
  readonly seeds: View;
  readonly idLists: View;
  readonly idPositions: View;
  readonly sourceLists: View;
  readonly sourcePositions: View;
  /** Where positions are learned: as of ids, which tokens stand at each. */
  readonly positionLists?: View;
  readonly positionPlaces?: View;
  readonly rotary: ReadonlyMap<Rotary, View>;
}

export class Decoder {
  readonly trunk: Program;
  readonly head: Head;
  readonly backward: Program | undefined;
  readonly #gpu: Gpu;
  readonly #config: Architecture;
  readonly #a: Activations;
  readonly #inputs: Inputs;
  readonly #store: ParameterStore;
  readonly #attention: AttentionBlock;
  readonly #mlp: MlpBlock;

  constructor(
    gpu: Gpu,
    config: Architecture,
    store: ParameterStore,
    activations: Activations,
    inputs: Inputs,
    capacity: Capacity,
  ) {
    this.#gpu = gpu;
    this.#config = config;
    this.#a = activations;
    this.#inputs = inputs;
    this.#store = store;
    this.#attention = new AttentionBlock(config, activations, inputs);
    this.#mlp = new MlpBlock(config);
    this.trunk = this.#trunk();
    this.head = new Head({ gpu, config, store, activations, inputs, capacity });
    this.backward = store.gradients ? this.#backward() : undefined;
  }

  #operations(program: Program): Operations {
    return new Operations(this.#gpu, program, this.#store, this.#a.partial);
  }

  #trunk(): Program {
    const program = new Program(this.#gpu, this.#store.textures);
    const o = this.#operations(program), { names, embeddingScale, hiddenSize } = this.#config;
    const { x } = this.#a.layers[0], { ids, positions } = this.#inputs;
    o.embed(`${names.embedding}.weight`, ids, x, "tokens");
    if (embeddingScale !== 1) addScale(o, x, hiddenSize, embeddingScale);
    if (names.positions) {
      o.embed(`${names.positions}.weight`, positions, x, "tokens", "forward_add");
    }
    for (const [i, layer] of this.#a.layers.entries()) {
      this.#layerForward(o, i, layer, () => true);
      this.#mlp.output(o, i, layer, this.#a.layers[i + 1]?.x ?? this.#a.last);
    }
    return program;
  }

  /**
   * All of a layer but its output, or of that the values that are `wanted`, when what they are made of
   * is there already.
   */
  #layerForward(
    o: Operations,
    index: number,
    a: LayerActivations,
    wanted: (name: ActivationName) => boolean,
  ): void {
    this.#attention.forward(o, index, a, wanted);
    this.#mlp.forward(o, index, a, wanted);
  }

  #backward(): Program {
    const program = new Program(this.#gpu, this.#store.textures);
    const o = this.#operations(program), { names, embeddingScale, hiddenSize } = this.#config;
    const { layers, levels } = this.#a, scratch = this.#a.scratch!, { dx } = scratch;
    const { idLists, idPositions, positionLists, positionPlaces } = this.#inputs;
    this.head.addBackward(o, scratch);
    for (let i = layers.length - 1; i >= 0; i--) {
      const shared = sharedValues(levels![i]);
      // What the last layer shares is still there: no layer ran after it.
      if (i < layers.length - 1) {
        this.#layerForward(o, i, layers[i], (name) => shared.has(name));
      }
      this.#mlp.backward(o, i, layers[i], scratch);
      this.#attention.backward(o, i, layers[i], scratch);
      if (this.#config.parallel) this.#secondBranchBackward(o, i, layers[i]);
    }
    if (names.positions) {
      const table = `${names.positions}.weight`;
      o.embedBackward(table, positionLists!, positionPlaces!, dx, "distinctPositions");
    }
    if (embeddingScale !== 1) addScale(o, dx, hiddenSize, embeddingScale);
    o.embedBackward(`${names.embedding}.weight`, idLists, idPositions, dx);
    return program;
  }

  /** Of a parallel layer: the MLP's norm, when attention has read the gradient of the output. */
  #secondBranchBackward(o: Operations, index: number, a: LayerActivations): void {
    const { names, norm, normEps: eps } = this.#config, { dx, dBranch } = this.#a.scratch!;
    const name = `${names.layers}.${index}.${names.layer.preMlpNorm}`;
    const views = { x: a.x, inv: a.inv2!, dy: dBranch!, dx, rows: "tokens", eps };
    addNormBackward(o, norm, name, views);
  }

  destroy(): void {
    this.trunk.destroy();
    this.head.destroy();
    this.backward?.destroy();
  }
}
