/** What the environment says about Weights & Biases, in the variables of its own client. */

/** Where runs go unless `WANDB_BASE_URL` names a server of one's own. */
export const DEFAULT_BASE_URL = "https://api.wandb.ai";
const DEFAULT_PROJECT = "dynamic-dpo";

export interface WandbSettings {
  readonly mode: "online" | "offline";
  /** Without a slash at the end. */
  readonly baseUrl: string;
  /** Absent only offline. Never printed and never written. */
  readonly apiKey?: string;
  /** User or team; absent: the key's own. */
  readonly entity?: string;
  readonly project: string;
  readonly runName?: string;
}

/** What the config says. */
export interface WandbNames {
  readonly project?: string;
  readonly runName?: string;
}

/**
 * The settings, or in `why` the reason for which nothing goes to W&B. Read are `WANDB_MODE`,
 * `WANDB_API_KEY`, `WANDB_BASE_URL`, `WANDB_ENTITY`, and `WANDB_PROJECT` and `WANDB_NAME` where the
 * config has no name.
 *
 * @param env reads an environment variable
 */
export function wandbSettings(
  env: (name: string) => string | undefined,
  names: WandbNames,
): WandbSettings | { readonly why: string } {
  const read = (name: string) => env(name)?.trim() || undefined;
  const mode = (read("WANDB_MODE") ?? "online").toLowerCase();
  if (mode === "disabled") return { why: "WANDB_MODE is disabled" };
  if (mode !== "online" && mode !== "offline") {
    return { why: `WANDB_MODE is "${mode}"; it can be online, offline or disabled` };
  }
  const apiKey = read("WANDB_API_KEY");
  if (mode === "online" && apiKey === undefined) {
    return { why: "set WANDB_API_KEY, or WANDB_MODE=offline for a folder that can be sent later" };
  }
  const baseUrl = (read("WANDB_BASE_URL") ?? DEFAULT_BASE_URL).replace(/\/+$/, "");
  if (!/^https?:$/.test(URL.parse(baseUrl)?.protocol ?? "")) {
    return { why: `WANDB_BASE_URL is "${baseUrl}"; it must start with https:// or http://` };
  }
  return {
    mode,
    baseUrl,
    apiKey,
    entity: read("WANDB_ENTITY"),
    project: names.project ?? read("WANDB_PROJECT") ?? DEFAULT_PROJECT,
    runName: names.runName ?? read("WANDB_NAME"),
  };
}

/** The host and port a run is sent to; undefined where it is sent nowhere. */
export function wandbHost(env: (name: string) => string | undefined): string | undefined {
  const settings = wandbSettings(env, {});
  if ("why" in settings || settings.mode === "offline") return undefined;
  const { hostname, port, protocol } = new URL(settings.baseUrl);
  return `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
}
