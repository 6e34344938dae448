/** Compiles WGSL once for each distinct text and set of constants. */
import type { Gpu } from "./device.ts";
import { GpuError } from "./error.ts";
import { PACK_F16 } from "./storage.ts";

export interface Kernel {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
}

/** Threads of a workgroup in the kernels that are not generated. */
export const WORKGROUP = 64;

/**
 * Put before every hand-written kernel. `linear_id` numbers the invocations of a grid that
 * `groupsFor` may have folded into two dimensions; `pack_f16` is there for values stored as f16.
 */
const PRELUDE = `override WORKGROUP: u32 = ${WORKGROUP}u;
fn linear_id(gid: vec3<u32>, groups: vec3<u32>) -> u32 {
  return gid.x + gid.y * groups.x * WORKGROUP;
}
${PACK_F16}`;

const caches = new WeakMap<GPUDevice, Map<string, Kernel>>();

/** Values of a kernel's `override` constants, true and false as 1 and 0. */
export type Constants = Readonly<Record<string, number>>;

/** A hand-written kernel: `code` gets the prelude; `file` is what messages name. */
export function loadKernel(
  gpu: Gpu,
  file: string,
  code: string,
  entryPoint: string,
  constants: Constants = {},
): Kernel {
  const values = Object.entries(constants).map(([name, value]) => ` ${name}=${value}`).join("");
  return compile(gpu, `${file}${values}:${entryPoint}`, PRELUDE + code, entryPoint, constants);
}

/** A generated kernel, taken as it is; `label` must name its variant. */
export function compile(
  gpu: Gpu,
  label: string,
  code: string,
  entryPoint: string,
  constants: Constants = {},
): Kernel {
  let cache = caches.get(gpu.device);
  if (!cache) caches.set(gpu.device, cache = new Map());
  const known = cache.get(label);
  if (known) return known;
  try {
    const module = gpu.device.createShaderModule({ label, code });
    const pipeline = gpu.device.createComputePipeline({
      label,
      layout: "auto",
      compute: { module, entryPoint, constants },
    });
    const kernel = { label, pipeline };
    cache.set(label, kernel);
    return kernel;
  } catch (error) {
    throw new GpuError(
      `Cannot compile kernel "${label}": ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** Errors and warnings of the compiler for one kernel, empty when it is fine; for tests. */
export async function compilationMessages(gpu: Gpu, code: string): Promise<string[]> {
  const module = gpu.device.createShaderModule({ code: PRELUDE + code });
  const info = await module.getCompilationInfo();
  return info.messages.map((m) => `${m.type} ${m.lineNum}: ${m.message}`);
}
