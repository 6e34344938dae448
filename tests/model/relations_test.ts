/** What must hold between log-probabilities of the engine, whatever the weights are. */
import { assert, assertEquals } from "@std/assert";
import type { TokenizedExample } from "../../model/engine.ts";
import type { LlamaEngine, LlamaOptions } from "../../model/llama.ts";
import { packedLength, scoredLength } from "../../model/pack.ts";
import { assertSameBits } from "../assert_close.ts";
import {
  answer,
  engineOf,
  openForTests,
  randomModel,
  randomPairs,
  row,
  SMALL,
} from "./small_engine.ts";

const gpu = await openForTests();
const model = randomModel({ ...SMALL, attentionBias: true }, 1);
const pairs = randomPairs(2, 8, SMALL.vocabSize);

async function withEngine(
  use: (engine: LlamaEngine) => Promise<void>,
  options: Partial<LlamaOptions> = {},
): Promise<void> {
  const engine = await engineOf(gpu, model, options);
  try {
    await use(engine);
  } finally {
    engine.destroy();
  }
}

/** Log-probabilities of each row of pairs: chosen, then rejected. */
async function byRow(
  engine: LlamaEngine,
  rows: readonly TokenizedExample[],
): Promise<Map<number, readonly [Float32Array, Float32Array]>> {
  const scores = await engine.score(rows);
  return new Map(
    rows.map(({ row }, i) => [row, [answer(scores, 2 * i), answer(scores, 2 * i + 1)]]),
  );
}

function assertSameRows(
  found: Awaited<ReturnType<typeof byRow>>,
  expected: Awaited<ReturnType<typeof byRow>>,
): void {
  for (const [row, sides] of found) {
    sides.forEach((logps, a) => {
      assertSameBits(logps, expected.get(row)![a], `row ${row}, answer ${a}`);
    });
  }
}

for (const sharePrompt of [true, false]) {
  const shared = sharePrompt ? "shared prompts" : "whole sequences";

  Deno.test(`the order of a batch permutes its results: ${shared}`, () =>
    withEngine(async (engine) => {
      const expected = await byRow(engine, pairs);
      assertEquals(expected.size, 8);
      assertSameRows(await byRow(engine, pairs.toReversed()), expected);
      const shuffled = [5, 2, 7, 0, 3, 6, 1, 4].map((i) => pairs[i]);
      assertSameRows(await byRow(engine, shuffled), expected);
    }, { sharePrompt }));

  Deno.test(`a row alone has the bytes it has in a pack, at any offset: ${shared}`, () =>
    withEngine(async (engine) => {
      const expected = await byRow(engine, pairs);
      for (const pair of pairs) assertSameRows(await byRow(engine, [pair]), expected);
      // Before it now stand 1, 2, ... tokens, so that it begins at every place of a block.
      for (let offset = 1; offset <= 9; offset++) {
        const before = row(100, [3], [new Uint32Array(offset).fill(4), []]);
        const scores = await engine.score([before, pairs[3]]);
        const found = [answer(scores, 2), answer(scores, 3)] as const;
        assertSameRows(new Map([[3, found]]), expected);
      }
    }, { sharePrompt }));
}

const most = {
  tokens: Math.max(...pairs.map((pair) => packedLength(pair, true))),
  scored: Math.max(...pairs.map(scoredLength)),
};

Deno.test("the capacity of a chunk changes no log-probability", async () => {
  let expected: Awaited<ReturnType<typeof byRow>>;
  await withEngine(async (engine) => {
    expected = await byRow(engine, pairs);
  });
  for (const factor of [1, 2.5]) {
    const tokens = Math.ceil(most.tokens * factor), scored = Math.ceil(most.scored * factor);
    await withEngine(async (engine) => {
      assertEquals(engine.plan.capacity.tokens, tokens);
      const before = engine.counters.submits;
      assertSameRows(await byRow(engine, pairs), expected);
      assert(engine.counters.submits - before > 6, "it took several chunks");
    }, { tokens, scored });
  }
});

Deno.test("a memory budget that halves the chunk changes no log-probability", async () => {
  let expected: Awaited<ReturnType<typeof byRow>>, needed = 0, capacity = 0;
  await withEngine(async (engine) => {
    expected = await byRow(engine, pairs);
    needed = engine.plan.total - engine.plan.activations / 2;
    capacity = engine.plan.capacity.tokens;
  }, { recompute: "none" });
  await withEngine(async (engine) => {
    const { capacity: { tokens }, activations, total } = engine.plan;
    assert(tokens < capacity);
    // As large as fits: another token, with a row for it in each of four textures, would not.
    const left = needed - total, perToken = activations / tokens;
    assert(left >= 0 && left < 2 * perToken + 4 * 32768, `${left} bytes are left`);
    assertSameRows(await byRow(engine, pairs), expected);
  }, { budget: needed, recompute: "none" });
});

Deno.test("equal answers have the same bytes, so a margin of 0", async () => {
  for (const sharePrompt of [true, false]) {
    await withEngine(async (engine) => {
      const equal = pairs.map(({ row: id, prompt, answers: [{ ids }] }) =>
        row(id, prompt, [ids, ids])
      );
      for (const [id, [chosen, rejected]] of await byRow(engine, equal)) {
        assertSameBits(chosen, rejected, `row ${id}`);
      }
    }, { sharePrompt });
  }
});

Deno.test("a frozen model scores with the bytes of the one that learns", async () => {
  let expected: Awaited<ReturnType<typeof byRow>>;
  await withEngine(async (engine) => {
    expected = await byRow(engine, pairs);
  });
  await withEngine(async (engine) => {
    assertSameRows(await byRow(engine, pairs), expected);
    assert(engine.plan.gradients === 0 && engine.plan.moments === 0);
  }, { optimizer: undefined, tokens: 90 });
});

Deno.test("prompts that fill more than one chunk continue as they do alone", () =>
  withEngine(async (engine) => {
    const prompts = pairs.map(({ prompt }) => prompt);
    const options = { maxNewTokens: 5, stop: [2] };
    const together = await engine.generate(prompts, options);
    for (const [i, prompt] of prompts.entries()) {
      assertEquals(together[i], (await engine.generate([prompt], options))[0]);
    }
  }, { tokens: 30, scored: 30 }));
