/** A real trained model of 260,032 parameters, beside the project, against its float64 results. */
import { assert, assertEquals } from "@std/assert";
import { LlamaEngine } from "../../model/llama.ts";
import { type ModelFolder, openModelFolder, writeModelFolder } from "../../model/model_folder.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import { assertSameBits } from "../assert_close.ts";
import { storiesTest } from "../model_files/temporary_folder.ts";
import { adamw, collect, gradientsOf, openForTests, row } from "./small_engine.ts";

const gpu = await openForTests();

interface Reference {
  readonly prompt_ids: number[];
  /** The prompt and its 256 greedy tokens. */
  readonly greedy_ids: number[];
  readonly logits_row0_first8: number[];
  readonly logits_row0_argmax: number;
  readonly last_row_logits_first8: number[];
  /** Of all of greedy_ids but the first. */
  readonly sum_logprob_of_greedy_ids: number;
}

function referenceOf(dir: string): Reference {
  return JSON.parse(Deno.readTextFileSync(`${dir}/reference_float64.json`));
}

async function load(folder: ModelFolder, optimizer?: "adamw"): Promise<LlamaEngine> {
  const options = {
    budget: 5e8,
    tokens: 4096,
    scored: 512,
    leastTokens: 257,
    leastScored: 256,
    optimizer,
    sharePrompt: true,
  };
  const parameter = (name: string) => folder.readParameter(name);
  return await LlamaEngine.create(gpu, folder.config, options, parameter);
}

function assertWithin(found: ArrayLike<number>, expected: readonly number[], place: string): void {
  expected.forEach((value, i) => {
    const allowed = 1e-4 * Math.max(1, Math.abs(value));
    const error = Math.abs(found[i] - value);
    assert(error <= allowed, `${place} [${i}]: found ${found[i]}, expected ${value}`);
  });
}

storiesTest("stories260K: logits are those of float64 within 1e-4", async (dir) => {
  using folder = openModelFolder(dir);
  const engine = await load(folder);
  const reference = referenceOf(dir);
  const ids = Uint32Array.from(reference.greedy_ids);
  const logits = await engine.nextLogits([ids.subarray(0, 1), ids]);
  const V = folder.config.vocabSize;
  assertEquals(logits.length, 2 * V);
  assertWithin(logits, reference.logits_row0_first8, "row 0");
  assertEquals(indexOfLargest(logits.subarray(0, V)), reference.logits_row0_argmax);
  assertWithin(logits.subarray(V), reference.last_row_logits_first8, "last row");
  engine.destroy();
});

function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, i) => value > values[best] ? i : best, 0);
}

storiesTest("stories260K: after each prefix the most likely token is the next", async (dir) => {
  using folder = openModelFolder(dir);
  const engine = await load(folder);
  const ids = Uint32Array.from(referenceOf(dir).greedy_ids);
  const V = folder.config.vocabSize;
  const found: number[] = [];
  // 16 prefixes, one packed chunk, at a time.
  for (let begin = 1; begin < ids.length; begin += 16) {
    const ends = Array.from({ length: 16 }, (_, i) => begin + i).filter((end) => end < ids.length);
    const logits = await engine.nextLogits(ends.map((end) => ids.subarray(0, end)));
    ends.forEach((_, i) => found.push(indexOfLargest(logits.subarray(i * V, (i + 1) * V))));
  }
  assertEquals(found, [...ids.subarray(1)]);
  engine.destroy();
});

storiesTest("stories260K: free-running generation gives the same 40 tokens", async (dir) => {
  using folder = openModelFolder(dir);
  const engine = await load(folder);
  const reference = referenceOf(dir);
  const prompts = [Uint32Array.from(reference.prompt_ids)];
  const [found] = await engine.generate(prompts, { maxNewTokens: 40, stop: [] });
  assertEquals([...found], reference.greedy_ids.slice(1, 41));
  engine.destroy();
});

storiesTest(
  "stories260K: the log-probability of its text is float64's within 1e-4",
  async (dir) => {
    using folder = openModelFolder(dir);
    const engine = await load(folder);
    const reference = referenceOf(dir);
    const { logps } = await engine.score([
      row(0, reference.prompt_ids, [reference.greedy_ids.slice(1)]),
    ]);
    assertEquals(logps.length, 256);
    const sum = logps.reduce((total, logp) => total + logp, 0);
    assertWithin([sum], [reference.sum_logprob_of_greedy_ids], "sum of log-probabilities");
    engine.destroy();
  },
);

storiesTest(
  "stories260K: its weights go through the GPU and a file unchanged",
  async (dir, empty) => {
    using folder = openModelFolder(dir);
    const engine = await load(folder);
    const written = `${empty}/final`;
    await writeModelFolder(written, {
      configText: folder.configText,
      precision: "f32",
      tensors: engine.weights(),
    });
    using before = SafetensorsFile.open(`${dir}/model.safetensors`);
    using after = SafetensorsFile.open(`${written}/model.safetensors`);
    assertEquals([...after.tensors.keys()].sort(), [...before.tensors.keys()].sort());
    for (const [name, { dtype, shape }] of before.tensors) {
      assertEquals([after.tensors.get(name)!.dtype, after.tensors.get(name)!.shape], [
        dtype,
        shape,
      ]);
      assertSameBits(after.readF32(name), before.readF32(name), name);
    }
    // The folder opens again as the same model.
    using again = openModelFolder(written);
    assertEquals(again.config, folder.config);
    engine.destroy();
  },
);

storiesTest("stories260K: one step on its own text makes it likelier", async (dir) => {
  using folder = openModelFolder(dir);
  const engine = await load(folder, "adamw");
  const { greedy_ids: ids } = referenceOf(dir);
  const rows = [row(0, ids.slice(0, 1), [ids.slice(1)])];
  const sum = async () => (await engine.score(rows)).logps.reduce((a, b) => a + b, 0);
  const before = await sum();
  await engine.learn(rows, new Float32Array(256).fill(-1 / 256));
  const gradients = await gradientsOf(engine);
  const weights = await collect(engine.weights());
  const { gradNorm } = await engine.update(adamw(1, { learningRate: 1e-4, maxGradNorm: 0 }))
    .status();
  // In first order the first step of Adam moves each weight by the learning rate times the sign.
  let predicted = 0, squares = 0;
  for (const [name, after] of await collect(engine.weights())) {
    const gradient = gradients.get(name)!, start = weights.get(name)!;
    after.forEach((x, i) => predicted -= 256 * gradient[i] * (x - start[i]));
    gradient.forEach((g) => squares += g * g);
  }
  assertWithin([gradNorm], [Math.sqrt(squares)], "gradient norm");
  const gained = await sum() - before;
  assert(gained > 0 && Math.abs(gained / predicted - 1) < 0.2, `${gained}, not ${predicted}`);
  engine.destroy();
});
