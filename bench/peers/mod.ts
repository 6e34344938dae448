/** What else a user could pick, measured in turn with this program; what is not found is left out. */
import type { Gpu } from "../../gpu/device.ts";
import { benchJax, type JaxResult } from "./jax.ts";
import { benchTrl, type TrlResult } from "./trl.ts";

export interface PeerResults {
  readonly trl?: TrlResult;
  readonly jax?: JaxResult;
}

export interface PeerOptions {
  readonly python: string;
  readonly budget: number;
  readonly say: (line: string) => void;
}

/** A peer's result, or undefined and one line that says why it was left out. */
async function unlessMissing<T>(
  name: string,
  say: (line: string) => void,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    say(`${name} was left out: ${why.split("\n")[0]}`);
    return undefined;
  }
}

export async function benchPeers(gpu: Gpu, options: PeerOptions): Promise<PeerResults> {
  const { say } = options;
  const jax = await unlessMissing("jax-js", say, () => benchJax(gpu, say));
  const trl = await unlessMissing("TRL", say, () => benchTrl(gpu, options));
  return { ...(trl ? { trl } : {}), ...(jax ? { jax } : {}) };
}
