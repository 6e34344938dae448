/** Where the names that a user types are looked up on disk. */
import { ConfigError } from "../trainer/error.ts";

const ROOT = new URL("../", import.meta.url);

/** Answers whether a path is there, and as what. */
export type Look = (path: string | URL) => Promise<"file" | "folder" | undefined>;

const lookOnDisk: Look = async (path) => {
  try {
    const info = await Deno.stat(path);
    return info.isDirectory ? "folder" : "file";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
};

/** The project's own folder may hold blanks or percent signs, so parts are encoded one by one. */
function below(folder: string, name: string): URL | undefined {
  if (/^([\\/]|[A-Za-z]:)/.test(name)) return undefined;
  const encoded = name.split(/[\\/]/).map(encodeURIComponent).join("/");
  return new URL(encoded, new URL(folder, ROOT));
}

/** Every place in which {@linkcode findInput} looks for a name. */
export function inputPlaces(name: string): (string | URL)[] {
  if (name === "" || name.includes("\0")) return [];
  return places(name, name.startsWith("examples/") ? ["./"] : []);
}

function places(name: string, folders: readonly string[]): (string | URL)[] {
  const inProject = folders.map((folder) => below(folder, name));
  return [name, ...inProject.filter((url) => url !== undefined)];
}

/**
 * The config file that `--config NAME` means: as given (relative to the working directory), then under
 * `configs/` of the project.
 *
 * @throws {ConfigError} When no such file is there
 */
export async function findConfig(name: string, look: Look = lookOnDisk): Promise<string | URL> {
  if (name.trim() === "" || name.includes("\0")) {
    throw new ConfigError(`Cannot find config ${JSON.stringify(name)}: give a file after --config`);
  }
  for (const place of places(name, ["configs/"])) {
    if (await look(place) === "file") return place;
  }
  throw new ConfigError(
    `Cannot find config ${
      JSON.stringify(name)
    }: no such file here or in the project's "configs" folder`,
  );
}

/**
 * A model folder or data file named in a config: as given (relative to the working directory); a name
 * below `examples/` then in the project, so that the configs that come with it work from any folder.
 * `undefined` when neither is there: the name may be one of a model hub.
 */
export async function findInput(
  name: string,
  look: Look = lookOnDisk,
): Promise<string | URL | undefined> {
  for (const place of inputPlaces(name)) {
    if (await look(place)) return place;
  }
  return undefined;
}
