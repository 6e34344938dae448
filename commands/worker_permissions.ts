/** What the Worker of a training run may reach, computed from the config; modes run inside it. */
import type { Config } from "../trainer/config.ts";
import { inputPlaces } from "./find_config.ts";
import type { TrainRequest } from "./train_protocol.ts";

/**
 * Reads config, models, data, cache and output; writes cache and output; nothing else. A name is
 * looked for in several places, so each of them may be read.
 */
export function workerPermissions(
  config: Pick<Config, "policy_name" | "ref_name" | "dataset">,
  request: Pick<TrainRequest, "config" | "outputFolder" | "cacheFolder">,
): Deno.PermissionOptionsObject {
  const { dataset_name, validation_name } = config.dataset;
  const names = [config.policy_name, config.ref_name, dataset_name, validation_name];
  const inputs = names.flatMap((name) => inputPlaces(name ?? ""));
  const own = [request.outputFolder, request.cacheFolder];
  return {
    read: [request.config, ...inputs, ...own],
    write: own,
    env: false,
    ffi: false,
    import: false,
    net: false,
    run: false,
    sys: false,
  };
}
