/**
 * `deno task bench [--json]`: matrix products and whole training steps as shares of what the adapter's
 * own multiply-add loop reaches in the same run, because absolute figures move with the machine.
 */
import { parseArgs } from "@std/cli/parse-args";
import { preparePlatform } from "../commands/platform.ts";
import { openGpu } from "../gpu/device.ts";
import { ceilingGflops } from "./ceiling.ts";
import { benchMatmul } from "./matmul.ts";
import { benchStep, type StepCase, type StepResult } from "./step.ts";

function llama(sizes: Record<string, number>): Record<string, unknown> {
  return {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    max_position_embeddings: 2048,
    ...sizes,
  };
}

const STORIES = llama({
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 5,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  vocab_size: 512,
});
const SMOL = llama({
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  vocab_size: 49152,
});

const STEPS: readonly StepCase[] = [
  { model: "stories260K", kind: "dpo", config: STORIES, rows: 8, prompt: 200, answer: 100 },
  { model: "stories260K", kind: "sft", config: STORIES, rows: 8, prompt: 200, answer: 100 },
  { model: "SmolLM2-135M", kind: "sft", config: SMOL, rows: 1, prompt: 1, answer: 127 },
];

function printStep(step: StepResult): void {
  console.log(
    `${step.model} ${step.kind}: ${step.seconds.toFixed(2)} s a step, ` +
      `${step.tokens_per_s.toFixed(0)} tokens/s, ${
        (step.share * 100).toFixed(1)
      } % of the ceiling, ` +
      `${(step.gpu_bytes / 2 ** 20).toFixed(0)} MiB, ${step.dispatches} dispatches, ` +
      `${step.readbacks} read-backs`,
  );
}

async function main(): Promise<void> {
  const { json } = parseArgs(Deno.args, { boolean: ["json"] });
  preparePlatform();
  const gpu = await openGpu();
  const ceiling = await ceilingGflops(gpu);
  if (!json) console.log(`${gpu.adapterName}: ${ceiling.toFixed(0)} GFLOP/s of multiply-adds`);
  const matmul = await benchMatmul(gpu, ceiling);
  for (const { form, m, k, n, gflops, share } of json ? [] : matmul) {
    console.log(
      `${form} ${m} x ${k} x ${n}: ${gflops.toFixed(1)} GFLOP/s, ${(share * 100).toFixed(0)} %`,
    );
  }
  const steps: StepResult[] = [];
  for (const test of STEPS) {
    steps.push(await benchStep(gpu, ceiling, test));
    if (!json) printStep(steps.at(-1)!);
  }
  if (json) console.log(JSON.stringify({ ceiling_gflops: ceiling, matmul, steps }));
  gpu.destroy();
}

if (import.meta.main) await main();
