/** The weights of a model folder: one `model.safetensors`, or shards with an index. */
import { ModelError, quoted } from "./error.ts";
import { SafetensorsFile, type StoredTensor, type TensorStore } from "./safetensors.ts";
import { isJsonObject, readJsonObject } from "./strict_json.ts";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/**
 * Opens the weights of `dir`. `model.safetensors` wins over an index, as in transformers.
 *
 * @throws ModelError naming file and tensor: no weights, a shard missing or malformed, a tensor that is
 * not in the shard the index names, a shard outside the folder
 */
export function openSafetensorsFolder(dir: string): TensorStore {
  if (exists(`${dir}/${SINGLE}`)) return SafetensorsFile.open(`${dir}/${SINGLE}`);
  if (exists(`${dir}/${INDEX}`)) return openShards(dir, readWeightMap(`${dir}/${INDEX}`));
  const others = ["pytorch_model.bin", "pytorch_model.bin.index.json"].filter((name) =>
    exists(`${dir}/${name}`)
  );
  throw new ModelError(
    `Cannot read the weights of ${quoted(dir)}: it has neither ${SINGLE} nor ${INDEX}` +
      (others.length > 0 ? `; convert ${others[0]} to safetensors` : ""),
  );
}

/** Tensor name to shard name, shard names checked to be plain. */
function readWeightMap(path: string): Map<string, string> {
  const map = readJsonObject(path).value.weight_map;
  if (!isJsonObject(map) || Object.keys(map).length === 0) {
    throw new ModelError(`Cannot read ${quoted(path)}: weight_map must map tensors to files`);
  }
  const result = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    // Plain names only: nothing outside the folder may be opened.
    // deno-lint-ignore no-control-regex
    if (typeof shard !== "string" || !/^[^/\\:\x00-\x1f]+\.safetensors$/.test(shard)) {
      throw new ModelError(
        `Cannot read ${quoted(path)}: tensor ${quoted(name)} is said to be in ${quoted(shard)}, ` +
          `which is not the name of a .safetensors file in this folder`,
      );
    }
    result.set(name, shard);
  }
  return result;
}

function openShards(dir: string, weightMap: ReadonlyMap<string, string>): TensorStore {
  const shards = new Map<string, SafetensorsFile>();
  const closeAll = () => shards.forEach((shard) => shard.close());
  try {
    for (const shard of new Set(weightMap.values())) {
      shards.set(shard, SafetensorsFile.open(`${dir}/${shard}`));
    }
    const owners = assignOwners(dir, weightMap, shards);
    const owner = (name: string): SafetensorsFile => {
      const file = owners.get(name);
      if (file !== undefined) return file;
      throw new ModelError(`Cannot read ${quoted(dir)}: there is no tensor ${quoted(name)}`);
    };
    const tensors = new Map<string, StoredTensor>();
    for (const [name, file] of owners) tensors.set(name, file.tensors.get(name)!);
    return {
      tensors,
      fileOf: (name) => owner(name).path,
      readF32: (name, rowFrom, rowTo) => owner(name).readF32(name, rowFrom, rowTo),
      close: closeAll,
    };
  } catch (error) {
    closeAll();
    throw error;
  }
}

/** Which file each tensor is read from; the index must agree with the shards. */
function assignOwners(
  dir: string,
  weightMap: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, SafetensorsFile>,
): Map<string, SafetensorsFile> {
  const owners = new Map<string, SafetensorsFile>();
  for (const [name, shard] of weightMap) {
    const file = shards.get(shard)!;
    if (!file.tensors.has(name)) {
      throw new ModelError(
        `Cannot read ${quoted(file.path)}: tensor ${quoted(name)} is missing, although ` +
          `${quoted(`${dir}/${INDEX}`)} says it is there`,
      );
    }
    owners.set(name, file);
  }
  for (const file of shards.values()) {
    for (const name of file.tensors.keys()) {
      const other = owners.get(name);
      if (other !== undefined && other !== file) {
        throw new ModelError(
          `Cannot read ${quoted(dir)}: tensor ${quoted(name)} is in ${quoted(other.path)} and in ` +
            `${quoted(file.path)}`,
        );
      }
      // A tensor the index does not name is kept: whether it may be there is for the caller to say.
      owners.set(name, file);
    }
  }
  return owners;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    // Anything but its absence is reported when the file is opened.
    return !(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory);
  }
}
