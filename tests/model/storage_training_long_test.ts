/**
 * f16 storage over whole runs and in a trained model: how far losses, log-probabilities and gradients are
 * from those of f32 storage. Where the bounds come from stands in docs/numerics.md.
 */
import { assert, assertEquals } from "@std/assert";
import dpoGolden from "../goldens/torch/dpo.json" with { type: "json" };
import type { Storage } from "../../gpu/storage.ts";
import type { LossMode } from "../../losses/loss_mode.ts";
import dpo from "../../modes/dpo.ts";
import { LlamaEngine } from "../../model/llama.ts";
import { openModelFolder } from "../../model/model_folder.ts";
import { assertClose, noteMargin } from "../assert_close.ts";
import { storiesTest } from "../model_files/temporary_folder.ts";
import { trainCurve } from "./golden_curve.ts";
import { gradientsOf, openForTests, printMarginsAtEnd, row } from "./small_engine.ts";
import { type GoldenName, goldenTest } from "./torch_goldens.ts";

const gpu = await openForTests();
printMarginsAtEnd();

goldenTest("the losses of 50 steps of dpo in f16 are within 2e-3 of those in f32", async () => {
  const { settings } = dpoGolden;
  const losses = async (storage: Storage) => {
    const { steps } = await trainCurve(gpu, dpo as LossMode, {
      settings,
      reference: settings.reference as GoldenName,
      options: { beta: settings.beta },
      storage,
    });
    return steps.map(({ metrics }) => metrics.loss);
  };
  const f32 = await losses("f32"), f16 = await losses("f16");
  f16.forEach((loss, i) => {
    const error = Math.abs(loss - f32[i]);
    noteMargin("loss", error / 2e-3);
    assert(error <= 2e-3, `step ${i + 1}: ${loss} in f16, ${f32[i]} in f32`);
  });
  // Policy and reference are rounded alike.
  assertEquals(f16[0], Math.LN2);
  assert(f16.at(-1)! < 0.2, `the last loss is ${f16.at(-1)}`);
});

storiesTest("stories260K in f16: logps and gradients are those of f32", async (dir) => {
  using folder = openModelFolder(dir);
  const { greedy_ids: ids } = JSON.parse(Deno.readTextFileSync(`${dir}/reference_float64.json`));
  const rows = [row(0, ids.slice(0, 1), [ids.slice(1)])];
  const results = async (storage: Storage) => {
    const sizes = { tokens: 257, scored: 256, leastTokens: 257, leastScored: 256 };
    const options = { ...sizes, budget: 5e8, optimizer: "adamw", sharePrompt: true } as const;
    const engine = await LlamaEngine.create(
      gpu,
      folder.config,
      { ...options, storage },
      (name) => folder.readParameter(name),
    );
    const { logps } = await engine.score(rows);
    await engine.learn(rows, new Float32Array(256).fill(-1 / 256));
    const gradients = [...(await gradientsOf(engine)).values()].flatMap((values) => [...values]);
    engine.destroy();
    return { logps, gradients };
  };
  const f32 = await results("f32"), f16 = await results("f16");
  const sites = 18 * folder.config.numHiddenLayers + 1, rounding = 2 ** -11;
  const largest = f16.logps.reduce((max, x, i) => Math.max(max, Math.abs(x - f32.logps[i])), 0);
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const { gradients: g } = f32, h = f16.gradients;
  const cosine = dot(g, h) / Math.sqrt(dot(g, g) * dot(h, h));
  const sum = (values: Float32Array) => values.reduce((total, x) => total + x, 0);
  console.log(
    `stories260K in f16: largest difference of a logp ${
      largest.toExponential(1)
    }, of their sum of ` +
      `${sum(f32.logps).toFixed(2)} ${(sum(f16.logps) - sum(f32.logps)).toExponential(1)}; ` +
      `gradient: 1 - cosine ${(1 - cosine).toExponential(1)}`,
  );
  assertClose(
    f16.logps,
    f32.logps,
    { relativeL2: rounding * Math.sqrt(sites), scale: 1 },
    "stories260K logps",
  );
  const backward = rounding * Math.sqrt(2 * sites);
  assertClose(h, g, { relativeL2: backward }, "stories260K whole gradient");
  assert(cosine > 1 - backward ** 2, `cosine ${cosine}`);
});
