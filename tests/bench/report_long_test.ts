/** `deno task bench --json` on a tiny model: the object's shape, and that no kernel lacks a bound. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { randomWeights, SMOL, type StepCase } from "../../bench/cases.ts";
import { openTimedGpu } from "../../bench/dispatch_times.ts";
import { kernelName } from "../../bench/kernel_work.ts";
import { benchKernels, compareWithBounds } from "../../bench/kernels.ts";
import { bench, parseOptions } from "../../bench/main.ts";
import { benchMatmul } from "../../bench/matmul.ts";
import { linesOf } from "../../bench/peers/peer.ts";

const TINY = {
  ...SMOL,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
};
/** With biases, and more vocabulary than one chunk: every kernel of the program. */
const TINY_QWEN = {
  ...TINY,
  model_type: "qwen2",
  architectures: ["Qwen2ForCausalLM"],
  vocab_size: 8448,
};

function tinyCase(config: Record<string, unknown>): StepCase {
  const rows = [[6, 3, 4], [2, 5, 1]] as const;
  return { model: "tiny", kind: "dpo", note: "two pairs", config, rows, rounds: 1 };
}

Deno.test("the report of a run has the agreed keys, and numbers in them", async () => {
  const { json: _, ...options } = parseOptions(["--only", "steps", "--memory_budget", "1e8"]);
  const lines: string[] = [];
  const report = await bench({
    ...options,
    steps: [tinyCase({ ...TINY, vocab_size: 64 })],
    say: (line) => lines.push(line),
  });
  assertEquals(Object.keys(report), [
    "adapter",
    "ceiling_gflops",
    "copy_gb_s",
    "matmul",
    "kernels",
    "steps",
    "peers",
  ]);
  assert(report.ceiling_gflops > 0 && report.copy_gb_s > 0);
  const [step, ...more] = report.steps;
  assertEquals(more, []);
  const { model, kind, note, ...numbers } = step;
  assertEquals([model, kind, note], ["tiny", "dpo", "two pairs"]);
  for (const [name, value] of Object.entries(numbers)) {
    assert(Number.isFinite(value) && value > 0, `${name} is ${value}`);
  }
  assertEquals(step.readbacks, 1, "a score's, which brings the outcome of the update before it");
  assertAlmostEquals(step.tokens_per_s / step.pairs_per_s, (9 + 10 + 7 + 3) / 2, 1e-9);
  assertEquals(lines.length, 2);
});

Deno.test("products and kernels of a tiny model are measured, and every kernel has a bound", async () => {
  const gpu = await openTimedGpu();
  const [product] = await benchMatmul(gpu, [["TN", 16, 24, 32]]);
  assertEquals(Object.keys(product), ["form", "m", "k", "n", "gflops", "share", "cpu_share"]);
  assertEquals([product.form, product.m, product.k, product.n], ["TN", 16, 24, 32]);
  assert(product.gflops > 0 && product.share > 0);
  const kernels = await benchKernels(gpu, 1, tinyCase(TINY_QWEN));
  const timed = gpu.device.features.has("timestamp-query");
  gpu.destroy();
  assertEquals(kernels.filter(({ share }) => share === undefined).map(({ name }) => name), []);
  if (timed) assert(kernels.some(({ name }) => name === "matmul TN"));
});

Deno.test("kernels are named by operation, whatever their variant", () => {
  assertEquals(kernelName("matmul NT zero bias 16x8 subgroups"), "matmul NT");
  assertEquals(kernelName("attention backward key D64 H9 K3 blocks 2 1"), "attention backward key");
  assertEquals(kernelName("swiglu.wgsl:forward"), "swiglu forward");
  assertEquals(kernelName("swiglu.wgsl textures:forward"), "swiglu forward");
  assertEquals(kernelName("something new"), "something new");
});

Deno.test("a bound is the larger of arithmetic and movement", () => {
  const times = new Map([
    ["product", { seconds: 2, dispatches: 3 }],
    ["copy", { seconds: 4, dispatches: 1 }],
    ["unknown", { seconds: 1, dispatches: 1 }],
  ]);
  const work = new Map([
    ["product", { operations: 50e9, bytes: 1e9 }],
    ["copy", { operations: 1e9, bytes: 20e9 }],
  ]);
  const results = compareWithBounds(times, work, { gflops: 100, gbs: 10 });
  assertEquals(results, [
    { name: "copy", ms: 4000, dispatches: 1, gb_s: 5, bound: "bandwidth", share: 0.5 },
    { name: "product", ms: 2000, dispatches: 3, gflops: 25, bound: "arithmetic", share: 0.25 },
    { name: "unknown", ms: 1000, dispatches: 1 },
  ]);
});

Deno.test("the command line is checked", () => {
  const { json, only, full, peers, python } = parseOptions([
    "--json",
    "--only",
    "matmul,Qwen2.5-0.5B",
  ]);
  assertEquals({ json, only, full, peers, python }, {
    json: true,
    only: ["matmul", "Qwen2.5-0.5B"],
    full: false,
    peers: false,
    python: "python3",
  });
  assertThrows(() => parseOptions(["--only", "matmull"]), Error, `Unknown part "matmull"`);
  assertThrows(() => parseOptions(["--fulll"]), Error, `Unknown argument "--fulll"`);
  assertThrows(() => parseOptions(["--memory_budget", "much"]), Error, "must be bytes");
});

Deno.test("random weights have the standard deviation models start with", () => {
  const values = randomWeights("model.embed_tokens.weight", [100, 100]);
  const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  assert(Math.abs(Math.sqrt(square) - 0.02) < 5e-4, `it is ${Math.sqrt(square)}`);
  assert(randomWeights("a.norm.weight", [3]).every((value) => value === 1));
  assert(randomWeights("a.bias", [3]).every((value) => value === 0));
});

Deno.test("lines of a peer are whole, however they arrive", async () => {
  const pieces = ['{"a"', ": 1}\n\nüb", 'rig\n{"b": 2}'].map((text) =>
    new TextEncoder().encode(text)
  );
  // The two bytes of one letter in two pieces.
  const cut = [...pieces.slice(0, 1), pieces[1].slice(0, 7), pieces[1].slice(7), pieces[2]];
  assertEquals(await Array.fromAsync(linesOf(ReadableStream.from(cut))), [
    '{"a": 1}',
    "",
    "übrig",
    '{"b": 2}',
  ]);
});
