/** What the Worker of a training run may reach, computed from the config; modes run inside it. */
import { isPattern, MAX_DATA_DEPTH, patternFolder } from "../data/file_set.ts";
import type { Config } from "../trainer/config.ts";
import { inputPlaces } from "./find_config.ts";
import { toPath } from "./model_source.ts";
import type { TrainRequest } from "./train_protocol.ts";

/**
 * Reads config, models, data, cache and output; writes cache and output; nothing else. A name is
 * looked for in several places, so each of them may be read.
 */
export function workerPermissions(
  config: Pick<Config, "policy_name" | "ref_name" | "dataset" | "lora">,
  request: Pick<TrainRequest, "config" | "outputFolder" | "cacheFolder" | "hub">,
): Deno.PermissionOptionsObject {
  const { dataset_name, mix = [], validation_name, chat_template } = config.dataset;
  const template = typeof chat_template === "string" ? chat_template : undefined;
  const adapter = config.lora?.adapter_name_or_path;
  const models = [config.policy_name, config.ref_name, adapter, template];
  const sets = [dataset_name, validation_name, ...mix.map((set) => set.dataset_name)];
  const inputs = [
    ...models.map((name) => ({ name, depth: 0 })),
    ...sets.map((name) => ({ name: name && dataFolder(name), depth: MAX_DATA_DEPTH })),
  ].flatMap(({ name, depth }) =>
    inputPlaces(name ?? "").flatMap(withFolder).flatMap((place) => [
      ...followed(place),
      ...linkTargets(realPlace(toPath(place)), depth),
    ])
  );
  // Links of a snapshot lead to blobs beside it.
  const downloaded = Object.values(request.hub).flatMap(({ repo }) => followed(repo));
  // A link lying in the output folder is not followed: it would let a run write elsewhere.
  const own = [request.outputFolder, request.cacheFolder].flatMap(followed);
  return {
    read: [...followed(request.config), ...inputs, ...downloaded, ...own],
    write: own,
    env: false,
    ffi: false,
    import: false,
    net: false,
    run: false,
    sys: false,
  };
}

/** A GGUF file and its folder: the tokenizer may lie beside it. */
function withFolder(place: string | URL): (string | URL)[] {
  const path = toPath(place);
  if (!/\.gguf$/i.test(path)) return [place];
  return [place, path.includes("/") || path.includes("\\") ? path.replace(/[^/\\]*$/, "") : "."];
}

/** A place as named, and where it really lies: Deno asks for permission for what a link points to. */
function followed(place: string | URL): (string | URL)[] {
  const path = toPath(place), real = realPlace(path);
  return real === path ? [place] : [place, real];
}

/** What is read of a dataset's name: the folder of all files that fit, where it is a pattern. */
function dataFolder(name: string): string {
  return isPattern(name) && realPath(name) === undefined ? patternFolder(name) || "." : name;
}

/**
 * What links in a folder point to: the files of a model or dataset may be links into the cache of a hub.
 * Those of a dataset may lie some folders deeper.
 */
function linkTargets(folder: string, depth: number): string[] {
  return [...entriesOf(folder)].flatMap(({ name, isSymlink, isDirectory }) => {
    if (isSymlink) return realPath(`${folder}/${name}`) ?? [];
    return isDirectory && depth > 0 ? linkTargets(`${folder}/${name}`, depth - 1) : [];
  });
}

/** The real path of a place that may not exist yet: that of the nearest folder above it, and the rest. */
function realPlace(path: string): string {
  const found = realPath(path);
  if (found !== undefined) return found;
  const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  const rest = path.slice(cut + 1);
  if (cut < 0) return `${realPath(".") ?? "."}/${rest}`;
  return cut === 0 ? path : `${realPlace(path.slice(0, cut))}/${rest}`;
}

function realPath(path: string): string | undefined {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    // What cannot be looked at is reported where it is opened.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}

function entriesOf(path: string): Iterable<Deno.DirEntry> {
  try {
    return Deno.statSync(path).isDirectory ? [...Deno.readDirSync(path)] : [];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return [];
    }
    throw error;
  }
}
