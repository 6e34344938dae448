/** What the environment says about the Hub, in the variables of its Python library. */

/** The Hub unless `HF_ENDPOINT` names another server. */
const DEFAULT_ENDPOINT = "https://huggingface.co";

export interface HubSettings {
  /** Without a slash at the end. */
  readonly endpoint: string;
  /** Folder with `models--...` and `datasets--...`. */
  readonly cache: string;
  /** True: no request is made. */
  readonly offline: boolean;
  /** Sent to the endpoint alone; never printed and never written. */
  readonly token?: string;
}

type Env = (name: string) => string | undefined;

const read = (env: Env, name: string) => env(name)?.trim() || undefined;

/** The server of the Hub, `HF_ENDPOINT` or the default; undefined when it is no http address. */
export function hubEndpoint(env: Env): string | undefined {
  const endpoint = (read(env, "HF_ENDPOINT") ?? DEFAULT_ENDPOINT).replace(/\/+$/, "");
  const url = URL.parse(endpoint);
  return url && /^https?:$/.test(url.protocol) && !url.username ? endpoint : undefined;
}

/**
 * Hosts with ports that a download may reach beside the Hub itself. Large files lie on hosts whose
 * names change; all of them are below the top-level domain of the default server, where a server of
 * one's own (a mirror) sends requests for them too. `HF_FILE_HOSTS` adds others, by commas.
 */
export function hubHosts(env: Env): string[] {
  if (isOffline(env)) return [];
  const endpoint = hubEndpoint(env);
  if (endpoint === undefined) return [];
  const url = new URL(endpoint);
  const own = `${url.hostname}:${url.port || (url.protocol === "https:" ? "443" : "80")}`;
  const domains = [url, new URL(DEFAULT_ENDPOINT)].filter(({ protocol, hostname }) =>
    protocol === "https:" && /\.[a-z]+$/.test(hostname)
  ).map(({ hostname }) => `*.${hostname.split(".").at(-1)}:443`);
  const more = (read(env, "HF_FILE_HOSTS") ?? "").split(",").map((host) => host.trim())
    .filter((host) => /^[A-Za-z0-9.-]+(:\d+)?$/.test(host));
  return [...new Set([own, ...domains, ...more])];
}

function isOffline(env: Env): boolean {
  return /^(1|true|yes|on)$/i.test(read(env, "HF_HUB_OFFLINE") ?? "");
}

/** The folder that `HF_HOME` names, or the library's default. */
function hubHome(env: Env): string {
  const home = read(env, "HOME") ?? read(env, "USERPROFILE") ?? ".";
  return read(env, "HF_HOME") ?? `${read(env, "XDG_CACHE_HOME") ?? `${home}/.cache`}/huggingface`;
}

/**
 * The settings, or in `why` what is wrong with them. Read are `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`,
 * `HF_HUB_OFFLINE`, `HF_TOKEN` and, without that, the file `token` in `HF_HOME`, where the Hub's own
 * login command puts it.
 *
 * @param env reads an environment variable
 * @param readText the text of a file; undefined when it is not there
 */
export function hubSettings(
  env: Env,
  readText: (path: string) => string | undefined,
): HubSettings | { readonly why: string } {
  const endpoint = hubEndpoint(env);
  if (endpoint === undefined) {
    return { why: "HF_ENDPOINT must be an address that starts with https:// or http://" };
  }
  const home = hubHome(env);
  const token = read(env, "HF_TOKEN") ?? (readText(`${home}/token`)?.trim() || undefined);
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    return { why: `HF_TOKEN (or the file "${home}/token") holds more than one word` };
  }
  const cache = read(env, "HF_HUB_CACHE") ?? `${home}/hub`;
  return { endpoint, cache, offline: isOffline(env), token };
}
