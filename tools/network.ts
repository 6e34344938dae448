/**
 * Prints the Deno permission for the network that a command begins with: the Hub's hosts, which it gives
 * back after its downloads, and for a run the addresses where its live page may listen and its W&B
 * server. From the environment, so that a run without W&B and with HF_HUB_OFFLINE reaches nothing.
 *
 *     deno run '--allow-env=WANDB_*,HF_*' tools/network.ts [hub]
 *
 * With `hub` the Hub's hosts alone.
 *
 * @module
 */
import { hubHosts } from "../hub/settings.ts";
import { wandbHost } from "../report/wandb/settings.ts";

/** Where `--dashboard` may listen. */
const LISTENING = ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"];

/** The permission as an argument of `deno run`; with no host at all, one that refuses all. */
export function networkPermission(
  env: (name: string) => string | undefined,
  only?: "hub",
): string {
  const run = only === "hub" ? [] : [...LISTENING, wandbHost(env)];
  const hosts = [...run, ...hubHosts(env)].filter((host) => host !== undefined);
  return hosts.length === 0 ? "--deny-net" : `--allow-net=${hosts.join(",")}`;
}

if (import.meta.main) {
  console.log(
    networkPermission((name) => Deno.env.get(name), Deno.args[0] === "hub" ? "hub" : undefined),
  );
}
