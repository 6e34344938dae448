/**
 * Prints the Deno permission for the hosts that a run is to reach, from the environment: nothing
 * where it is to reach none. Used by the tasks, so that a run without W&B has no network at all.
 *
 *     deno run '--allow-env=WANDB_*' tools/network.ts
 *
 * @module
 */
import { wandbHost } from "../report/wandb/settings.ts";

/** The permission as an argument of `deno run`, or an empty text. */
export function networkPermission(env: (name: string) => string | undefined): string {
  const hosts = [wandbHost(env)].filter((host) => host !== undefined);
  return hosts.length === 0 ? "" : `--allow-net=${hosts.join(",")}`;
}

if (import.meta.main) console.log(networkPermission((name) => Deno.env.get(name)));
