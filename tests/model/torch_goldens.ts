/** The tiny models that PyTorch ran, with what it found; the weights are files. */
import llama from "../goldens/torch/llama.json" with { type: "json" };
import llamaConfig from "../goldens/torch/llama/config.json" with { type: "json" };
import qwen2 from "../goldens/torch/qwen2.json" with { type: "json" };
import qwen2Config from "../goldens/torch/qwen2/config.json" with { type: "json" };
import tied from "../goldens/torch/tied.json" with { type: "json" };
import tiedConfig from "../goldens/torch/tied/config.json" with { type: "json" };
import type { TokenizedExample } from "../../model/engine.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import { type Model, row } from "./small_engine.ts";

const goldens = { llama, tied, qwen2 };
const configs = { llama: llamaConfig, tied: tiedConfig, qwen2: qwen2Config };

export type GoldenName = keyof typeof goldens;
export const GOLDEN_NAMES = Object.keys(goldens) as GoldenName[];
export type Golden = typeof llama;

/** True where the weights can be read; bare `deno test` may not. */
const MAY_READ = (await Deno.permissions.query({ name: "read" })).state === "granted";

/** Registers a test that reads the goldens' weights. */
export function goldenTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: MAY_READ ? name : `${name} (ignored: needs --allow-read)`,
    ignore: !MAY_READ,
    fn,
  });
}

/** All tensors of a golden file, as float32. */
export function readTensors(file: string): Map<string, Float32Array> {
  const url = new URL(`../goldens/torch/${file}`, import.meta.url);
  using store = SafetensorsFile.fromBytes(Deno.readFileSync(url), file);
  return new Map([...store.tensors.keys()].map((name) => [name, store.readF32(name)]));
}

/** The results of a model in float64. */
export function goldenOf(name: GoldenName): Golden {
  return goldens[name] as Golden;
}

/** Config and weights of a model. */
export function goldenModel(name: GoldenName): Model {
  const config = parseArchitecture(JSON.stringify(configs[name]), `${name}/config.json`);
  return { config, weights: readTensors(`${name}/model.safetensors`) };
}

/** The rows whose log-probabilities the goldens hold. */
export function goldenRows({ triples }: Golden): TokenizedExample[] {
  return triples.map(({ prompt, chosen, rejected }, i) => row(i, prompt, [chosen, rejected]));
}
