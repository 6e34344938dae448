/** Writes a pack's integer arrays to the GPU. */
import type { Gpu } from "../gpu/device.ts";
import type { AttentionVariant } from "../gpu/kernels/attention.ts";
import type { View } from "../gpu/program.ts";
import type { Capacity } from "./activations.ts";
import type { Inputs } from "./decoder.ts";
import { type Architecture, rotaries } from "./architecture.ts";
import { blocksOf, groupByValue, type Pack } from "./pack.ts";
import { rotaryTable } from "./rotary.ts";

type InputName = Exclude<keyof Inputs, "rotary">;

export class ChunkInputs {
  readonly #gpu: Gpu;
  readonly #buffers: GPUBuffer[] = [];
  readonly #variant: AttentionVariant;
  readonly views: Inputs;

  constructor(gpu: Gpu, config: Architecture, capacity: Capacity, variant: AttentionVariant) {
    this.#gpu = gpu;
    this.#variant = variant;
    const view = (label: string, words: number): View => {
      const buffer = gpu.createBuffer(label, words * 4);
      this.#buffers.push(buffer);
      return { buffer, offset: 0, size: 0 };
    };
    const { tokens: T, scored: S } = capacity;
    this.views = {
      ids: view("ids", T),
      positions: view("positions", T),
      mask: view("mask", T * 4),
      queryBlocks: view("query blocks", T * 2),
      keyBlocks: view("key blocks", T * 2),
      sources: view("sources", S),
      targets: view("targets", S),
      seeds: view("seeds", S),
      idLists: view("id lists", T * 3),
      idPositions: view("id positions", T),
      sourceLists: view("source lists", S * 3),
      sourcePositions: view("source positions", S),
      ...config.names.positions
        ? {
          positionLists: view("position lists", T * 3),
          positionPlaces: view("position places", T),
        }
        : {},
      rotary: new Map(
        rotaries(config).map((rotary) => {
          const table = rotaryTable(rotary, Math.min(T, config.maxPositionEmbeddings));
          const own = view("rotary table", table.length);
          gpu.write(own.buffer, table);
          return [rotary, own];
        }),
      ),
    };
  }

  /** Uploads a pack; returns the sizes its programs are replayed with. */
  upload(pack: Pack, training: boolean): Record<string, number> {
    const queryBlocks = blocksOf(pack, this.#variant.queryBlock);
    const keyBlocks = blocksOf(pack, this.#variant.keyBlock);
    this.#write({
      ids: pack.ids,
      positions: pack.positions,
      mask: pack.mask,
      queryBlocks,
      keyBlocks,
      sources: pack.sources,
      targets: pack.targets,
    });
    const sizes = {
      tokens: pack.tokens,
      scored: pack.scored,
      queryBlocks: queryBlocks.length / 2,
      keyBlocks: keyBlocks.length / 2,
      pairs: attendedPairs(pack),
      ids: 0,
      sources: 0,
      distinctPositions: 0,
    };
    if (!training) return sizes;
    const byId = groupByValue(pack.ids), bySource = groupByValue(pack.sources);
    this.#write({
      idLists: byId.lists,
      idPositions: byId.positions,
      sourceLists: bySource.lists,
      sourcePositions: bySource.positions,
    });
    const trained = { ...sizes, ids: byId.count, sources: bySource.count };
    if (!this.views.positionLists) return trained;
    const byPosition = groupByValue(pack.positions);
    this.#write({ positionLists: byPosition.lists, positionPlaces: byPosition.positions });
    return { ...trained, distinctPositions: byPosition.count };
  }

  writeSeeds(seeds: Float32Array): void {
    this.#gpu.write(this.views.seeds.buffer, seeds);
  }

  #write(arrays: Partial<Record<InputName, Uint32Array>>): void {
    for (const [name, array] of Object.entries(arrays)) {
      this.#gpu.write(this.views[name as InputName]!.buffer, array);
    }
  }

  destroy(): void {
    for (const buffer of this.#buffers) this.#gpu.destroyMemory(buffer);
  }
}

/** Query-key pairs inside the mask: the work of attention. */
function attendedPairs(pack: Pack): number {
  return pack.segments.reduce((sum, { begin, end, prefixBegin, prefixEnd }) => {
    const n = end - begin;
    return sum + n * (prefixEnd - prefixBegin) + n * (n + 1) / 2;
  }, 0);
}
