/**
 * Which kernels an adapter runs. Software Vulkan and unmeasured adapters have defaults; `measureTuning` in
 * `gpu/tuning_measure.ts` finds better ones. Every choice gives the same sums in the same order.
 */
import type { Gpu } from "./device.ts";
import { type MatmulForm, type MatmulTile, tileName } from "./kernels/matmul.ts";

/** Raised when the kernels of the family change: what was measured before does not count any more. */
const FAMILY_VERSION = 1;

/** Products that share a tile: a form, and whether C has few columns. */
export type ProductClass = `${MatmulForm} ${"narrow" | "wide"}`;
const NARROW = 512;

export interface Tuning {
  /** Kernels read their inputs from textures. */
  readonly textures: boolean;
  readonly tiles: Readonly<Partial<Record<ProductClass, MatmulTile>>>;
}

export function productClass(form: MatmulForm, n: number): ProductClass {
  return `${form} ${n < NARROW ? "narrow" : "wide"}`;
}

/** True for Mesa's software Vulkan, whose best kernels are known: they are the defaults. */
export function isMeasured({ adapterName }: Gpu): boolean {
  return adapterName.includes("llvmpipe");
}

/** The tile of an adapter that nothing was measured on. */
export function defaultTile({ capabilities: { subgroups } }: Gpu): MatmulTile {
  const sharing = subgroups ? "subgroup" : "none";
  return { rows: subgroups ? 16 : 8, columns4: 2, unroll: 4, eights: 4, sharing };
}

/** The tile of a product of so many columns. */
export function tileFor(gpu: Gpu, form: MatmulForm, n: number): MatmulTile {
  return gpu.tuning?.tiles[productClass(form, n)] ?? defaultTile(gpu);
}

/** True where kernels read textures on this adapter. */
export function readsTextures(gpu: Gpu): boolean {
  return gpu.tuning?.textures ?? (isMeasured(gpu) && gpu.capabilities.storageTextures);
}

/** What was measured in words, the same for the same choice; empty for defaults. */
export function tuningName({ tuning }: Gpu): string {
  if (!tuning) return "";
  const tiles = Object.entries(tuning.tiles).map(([name, tile]) => `${name} ${tileName(tile)}`);
  return [`inputs in ${tuning.textures ? "textures" : "buffers"}`, ...tiles.sort()].join(", ");
}

/** What a measurement holds for: adapter, driver, program and kernels. */
export function tuningKey({ adapterId, capabilities }: Gpu): string {
  const { subgroups, subgroupSize, storageTextures } = capabilities;
  return `kernels ${FAMILY_VERSION}; Deno ${Deno.version.deno}; ${adapterId}; subgroups ` +
    `${subgroups ? subgroupSize : "none"}; readable textures ${storageTextures}`;
}

/** Tiles worth measuring here, likeliest first. */
export function candidateTiles({ capabilities: { subgroups } }: Gpu): MatmulTile[] {
  const workgroup = (rows: number, columns4: number): MatmulTile => ({
    rows,
    columns4,
    unroll: 4,
    eights: 8,
    sharing: "workgroup",
  });
  const registers = (
    rows: number,
    columns4: number,
    { unroll = 4, eights = 4, sharing = "none" as MatmulTile["sharing"] } = {},
  ): MatmulTile => ({ rows, columns4, unroll, eights, sharing });
  const sharing = "subgroup";
  return subgroups
    ? [
      registers(16, 2, { sharing }),
      workgroup(8, 2),
      registers(8, 2, { sharing, eights: 8 }),
      registers(32, 1, { sharing }),
      workgroup(4, 1),
      registers(16, 2, { sharing, unroll: 8 }),
      registers(8, 1, { eights: 8 }),
    ]
    : [
      registers(8, 2),
      workgroup(8, 2),
      workgroup(4, 1),
      registers(8, 1, { eights: 8 }),
      registers(8, 1, { unroll: 8 }),
      registers(16, 2),
    ];
}
