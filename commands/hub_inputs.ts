/**
 * What a config names and is not on this machine is looked for on the Hub, and downloaded before
 * anything else: before the Worker starts and before a mode is loaded, so that neither ever has a
 * network. Afterwards the process gives the permission back.
 */
import { optionalText } from "../hub/cache.ts";
import { HubError } from "../hub/error.ts";
import { fetchRepo } from "../hub/fetch_repo.ts";
import { parseRepo, type Repo, repoFolder, type RepoKind, repoName } from "../hub/repo.ts";
import { hubHosts, hubSettings } from "../hub/settings.ts";
import type { Sink } from "../report/events.ts";
import { wandbHost } from "../report/wandb/settings.ts";
import { type Config, parseConfig } from "../trainer/config.ts";
import { findConfig, findInput } from "./find_config.ts";
import type { HubInput, HubInputs } from "./hub_pins.ts";
import { toPath } from "./model_source.ts";

type Names = Pick<Config, "policy_name" | "ref_name" | "lora"> & {
  readonly dataset: Pick<Config["dataset"], "dataset_name" | "mix" | "validation_name">;
};

/** The names of a config that are no path here and can be one on the Hub; `model` is `--model`. */
async function hubNames(config: Names, model?: string): Promise<Map<string, Repo>> {
  const { dataset_name, mix = [], validation_name } = config.dataset;
  const models = [config.policy_name, config.ref_name, config.lora?.adapter_name_or_path, model];
  const asked: [string | null | undefined, RepoKind][] = [
    ...models.map((name): [typeof name, RepoKind] => [name, "model"]),
    ...[dataset_name, ...mix.map((set) => set.dataset_name), validation_name]
      .map((name): [typeof name, RepoKind] => [name, "dataset"]),
  ];
  const found = new Map<string, Repo>();
  for (const [name, kind] of asked) {
    const repo = name ? parseRepo(name, kind) : undefined;
    if (!repo || await findInput(name!) !== undefined) continue;
    if ((found.get(name!)?.kind ?? kind) !== kind) {
      throw new HubError(`"${name}" is named both as a model and as a data set`, { exitCode: 2 });
    }
    found.set(name!, repo);
  }
  return found;
}

/**
 * Downloads what a config names on the Hub, as far as the cache lacks it.
 *
 * @param options.pins commits by name that go before what a branch stands for now
 * @throws HubError
 */
export async function fetchHubInputs(config: Names, options: {
  readonly events: Sink;
  readonly env: (name: string) => string | undefined;
  readonly model?: string;
  readonly pins?: Readonly<Record<string, string>>;
}): Promise<HubInputs> {
  const { events, env, pins = {} } = options;
  const inputs: Record<string, HubInput> = {};
  const names = await hubNames(config, options.model);
  if (names.size > 0) {
    const settings = hubSettings(env, optionalText);
    if ("why" in settings) {
      const [name] = names.keys();
      throw new HubError(`Cannot look for "${name}" on the Hub: ${settings.why}`, { exitCode: 2 });
    }
    for (const [name, named] of names) {
      const repo = pins[name] === undefined ? named : { ...named, revision: pins[name] };
      const what = `Downloading ${repoName(named)} (kB)`;
      let shown = -1;
      const fetched = await fetchRepo({
        settings,
        repo,
        onProgress: (done, total) => {
          const kilobytes = Math.ceil(done / 1000);
          if (kilobytes !== shown) {
            events.accept({
              type: "progress",
              what,
              done: kilobytes,
              total: Math.ceil(total / 1000),
            });
          }
          shown = kilobytes;
        },
      });
      if (fetched.notice) events.accept({ type: "notice", text: fetched.notice });
      const { folder, paths, commit } = fetched;
      const single = repo.kind === "dataset" && paths.length === 1;
      inputs[name] = {
        path: single ? `${folder}/${paths[0]}` : folder,
        repo: repoFolder(settings.cache, repo),
        commit,
      };
    }
  }
  return inputs;
}

/**
 * {@linkcode fetchHubInputs} for a command that reads its config later, in this same process: a mode will
 * be loaded here, so no network is left.
 */
export async function fetchNamed(
  config: string,
  overrides: readonly string[],
  { events, model }: { readonly events: Sink; readonly model?: string },
): Promise<HubInputs> {
  const place = await findConfig(config);
  const parsed = parseConfig(await Deno.readTextFile(place), { file: toPath(place), overrides });
  const env = (name: string) => Deno.env.get(name);
  const inputs = await fetchHubInputs(parsed.config, { events, env, model });
  Deno.permissions.revokeSync({ name: "net" });
  return inputs;
}

/**
 * Takes hosts that only downloads need from this process; what else it may reach stays: the addresses
 * of its page, which are this machine's, and its W&B server.
 */
export function giveBackHub(env: (name: string) => string | undefined): void {
  for (const host of hubHosts(env)) {
    if (/^(127\.|0\.0\.0\.0|\[)/.test(host) || host === wandbHost(env)) continue;
    // Deno takes a pattern back when a host is given back that it covers.
    Deno.permissions.revokeSync({ name: "net", host: host.replace("*", "any") });
  }
}
