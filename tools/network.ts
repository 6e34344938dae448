/**
 * Prints the Deno permission for the network that a run is to have: the addresses where its live page
 * may listen, and the hosts that it is to reach, from the environment. Used by the tasks, so that a run
 * without W&B reaches nothing.
 *
 *     deno run '--allow-env=WANDB_*' tools/network.ts
 *
 * @module
 */
import { wandbHost } from "../report/wandb/settings.ts";

/** Where `--dashboard` may listen. */
const LISTENING = ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"];

/** The permission as an argument of `deno run`. */
export function networkPermission(env: (name: string) => string | undefined): string {
  const hosts = [...LISTENING, wandbHost(env)].filter((host) => host !== undefined);
  return `--allow-net=${hosts.join(",")}`;
}

if (import.meta.main) console.log(networkPermission((name) => Deno.env.get(name)));
