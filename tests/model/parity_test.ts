/**
 * The engine against PyTorch in float64 on three tiny models, in each variant; the variants against
 * each other, bit by bit.
 */
import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../gpu/device.ts";
import type { TokenLogps } from "../../model/engine.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import { assertClose, assertSameBits, noteMargin } from "../assert_close.ts";
import {
  answer,
  assertSameTensors,
  engineOf,
  gradientsOf,
  openForTests,
  printMarginsAtEnd,
} from "./small_engine.ts";
import {
  type Golden,
  GOLDEN_NAMES,
  goldenModel,
  type GoldenName,
  goldenOf,
  goldenRows,
  goldenTest,
  readTensors,
} from "./torch_goldens.ts";

const ordinary = await openForTests();
/** Binds 64 KiB at most: weights, gradients and moments lie in several slabs. */
const narrow = await openForTests({ bindingLimit: 1 << 16 });
const withoutSubgroups = await openForTests({ subgroups: false });
printMarginsAtEnd();

const seedsOf = ({ triples }: Golden) =>
  Float32Array.from(triples.flatMap(({ seeds }) => [...seeds.chosen, ...seeds.rejected]));
const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0);

/** Largest |found - expected| is at most `tolerance` * max(1, |expected|) of each value. */
function assertWithin(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  group: string,
): void {
  assertEquals(found.length, expected.length, group);
  for (let i = 0; i < expected.length; i++) {
    const allowed = tolerance * Math.max(1, Math.abs(expected[i]));
    const error = Math.abs(found[i] - expected[i]);
    noteMargin(group, error / allowed);
    assert(error <= allowed, `${group} [${i}]: found ${found[i]}, expected ${expected[i]}`);
  }
}

/** Score and gradients of the golden rows. */
async function learned(
  engine: LlamaEngine,
  golden: Golden,
): Promise<{ scores: TokenLogps; gradients: Map<string, Float32Array> }> {
  const rows = goldenRows(golden);
  const scores = await engine.score(rows);
  await engine.learn(rows, seedsOf(golden));
  return { scores, gradients: await gradientsOf(engine) };
}

type Result = Awaited<ReturnType<typeof learned>>;
const results = new Map<string, Promise<Result>>();

/** Score and gradients of a model on a GPU, run once for all tests. */
function runIn(gpu: Gpu, name: GoldenName, sharePrompt: boolean): Promise<Result> {
  const key = `${[ordinary, narrow, withoutSubgroups].indexOf(gpu)} ${name} ${sharePrompt}`;
  const known = results.get(key) ?? run(gpu, name, sharePrompt);
  results.set(key, known);
  return known;
}

async function run(gpu: Gpu, name: GoldenName, sharePrompt: boolean): Promise<Result> {
  const engine = await engineOf(gpu, goldenModel(name), {
    // As many as 64 KiB hold, so that the plans are the same.
    tokens: 160,
    scored: 60,
    sharePrompt,
  });
  const result = await learned(engine, goldenOf(name));
  engine.destroy();
  return result;
}

function assertSameResults(found: Result, expected: Result): void {
  assertSameBits(found.scores.logps, expected.scores.logps, "log-probabilities");
  assertSameTensors(found.gradients, expected.gradients, "gradients");
}

for (const name of GOLDEN_NAMES) {
  goldenTest(`${name}: logits are PyTorch's within 1e-4`, async () => {
    const engine = await engineOf(ordinary, goldenModel(name));
    const cases = goldenOf(name).triples.flatMap((triple) =>
      (["chosen", "rejected"] as const).flatMap((side) =>
        triple.logits[side].map(({ position, values }) => ({
          prefix: Uint32Array.from([...triple.prompt, ...triple[side]].slice(0, position + 1)),
          values,
        }))
      )
    );
    const logits = await engine.nextLogits(cases.map(({ prefix }) => prefix));
    assertWithin(logits, cases.flatMap(({ values }) => values), 1e-4, `${name} logits`);
    engine.destroy();
  });

  goldenTest(`${name}: log-probabilities are PyTorch's within 1e-4`, async () => {
    for (const sharePrompt of [true, false]) {
      const golden = goldenOf(name);
      const { scores } = await runIn(ordinary, name, sharePrompt);
      const sides = golden.triples.flatMap(({ logps }) => [logps.chosen, logps.rejected]);
      assertEquals(scores.offsets.length, sides.length + 1);
      assertWithin(scores.logps, sides.flat(), 1e-4, `${name} token logps`);
      const sums = sides.map((_, i) => sum(answer(scores, i)));
      assertWithin(sums, sides.map(sum), 1e-4, `${name} sequence logps`);
    }
  });

  goldenTest(`${name}: each gradient tensor is PyTorch's within 1e-4`, async () => {
    const expected = readTensors(`${name}_gradients.safetensors`);
    for (const sharePrompt of [true, false]) {
      const { gradients } = await runIn(ordinary, name, sharePrompt);
      assertEquals([...gradients.keys()].sort(), [...expected.keys()].sort());
      for (const [tensor, values] of expected) {
        assertClose(
          gradients.get(tensor)!,
          values,
          { relativeL2: 1e-4 },
          `${name} gradients`,
          tensor,
        );
      }
    }
  });

  goldenTest(`${name}: greedy tokens are those of PyTorch`, async () => {
    const engine = await engineOf(ordinary, goldenModel(name));
    const { greedy } = goldenOf(name);
    const prompts = greedy.map(({ prompt }) => Uint32Array.from(prompt));
    const found = await engine.generate(prompts, { maxNewTokens: 12, stop: [] });
    assertEquals(found.map((ids) => [...ids]), greedy.map(({ ids }) => ids));
    // A stop id ends a continuation before it.
    const stop = greedy[0].ids[5];
    const stopped = await engine.generate(prompts, { maxNewTokens: 12, stop: [stop] });
    const cut = greedy.map(({ ids }) => ids.includes(stop) ? ids.slice(0, ids.indexOf(stop)) : ids);
    assertEquals(stopped.map((ids) => [...ids]), cut);
    engine.destroy();
  });

  goldenTest(`${name}: kernels without subgroups give the same bytes`, async () => {
    assertEquals(withoutSubgroups.capabilities.subgroups, false);
    const expected = await runIn(ordinary, name, true);
    assertSameResults(await runIn(withoutSubgroups, name, true), expected);
  });

  goldenTest(`${name}: parameters over several bindings give the same bytes`, async () => {
    const expected = await runIn(ordinary, name, true);
    assertSameResults(await runIn(narrow, name, true), expected);
  });

  goldenTest(`${name}: a shared prompt moves no log-probability by more than 1e-5`, async () => {
    const shared = await runIn(ordinary, name, true);
    const whole = await runIn(ordinary, name, false);
    assertWithin(shared.scores.logps, whole.scores.logps, 1e-5, `${name} shared prompt`);
    for (const [tensor, values] of whole.gradients) {
      const found = shared.gradients.get(tensor)!;
      assertClose(found, values, { relativeL2: 1e-5 }, `${name} shared prompt gradients`, tensor);
    }
  });
}
