import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import type { RunEvent } from "../../report/events.ts";
import { NumbersError } from "../../trainer/error.ts";
import {
  cachedReference,
  liveReference,
  type ReferenceCacheRequest,
} from "../../trainer/reference_cache.ts";
import { cacheFileName } from "../../trainer/reference_file.ts";
import { FakeEngine } from "./fake_engine.ts";
import { FILES_ALLOWED, pairs, startWeight, VOCABULARY, withFolder } from "./fake_run.ts";
import { faultyOperations, FULL } from "./faulty_operations.ts";

const key = { model: "a", data: "b", engine: "fake 1" };
const dataset = pairs(11, 40);

function request(folder: string, changes: Partial<ReferenceCacheRequest> = {}) {
  const engine = new FakeEngine(VOCABULARY, startWeight);
  const events: RunEvent[] = [];
  return {
    engine,
    events,
    asked: {
      folder: `${folder}/cache`,
      key,
      dataset,
      batchSize: 4,
      engine: () => engine,
      events: { accept: (event: RunEvent) => events.push(event) },
      ...changes,
    } as ReferenceCacheRequest,
  };
}

const examples = await Promise.all([3, 0, 10].map((i) => dataset.get(i)));
const expected = await liveReference(new FakeEngine(VOCABULARY, startWeight)).sums(examples);

function noticesOf(events: readonly RunEvent[]): string[] {
  return events.flatMap((event) => event.type === "notice" ? [event.text] : []);
}

function test(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test({ name: `${name} (needs files)`, ignore: !FILES_ALLOWED, fn: () => withFolder(fn) });
}

Deno.test("the cache's name depends on every part of the key and not on their order", () => {
  const name = cacheFileName(key);
  assertEquals(cacheFileName({ engine: "fake 1", data: "b", model: "a" }), name);
  for (const part of Object.keys(key)) {
    assertNotEquals(cacheFileName({ ...key, [part]: "x" }), name);
  }
  assertNotEquals(cacheFileName({ model: "ab", data: "", engine: "fake 1" }), name);
});

test("cached sums are the live ones to the bit, computed once", async (folder) => {
  const first = request(folder);
  assertEquals((await cachedReference(first.asked)).sums(examples), expected);
  assertEquals(first.engine.scoreCalls, 3);
  const second = request(folder);
  assertEquals((await cachedReference(second.asked)).sums(examples), expected);
  assertEquals(second.engine.scoreCalls, 0);
  // The file has every token's, so that ld_alpha may differ from run to run.
  const weighted = request(folder, { ldAlpha: 0.5 });
  const live = liveReference(new FakeEngine(VOCABULARY, startWeight), { ldAlpha: 0.5 });
  assertEquals((await cachedReference(weighted.asked)).sums(examples), await live.sums(examples));
  assertNotEquals(await live.sums(examples), expected);
  assertEquals(weighted.engine.scoreCalls, 0);
  const other = request(folder, { key: { ...key, data: "c" } });
  await cachedReference(other.asked);
  assertEquals(other.engine.scoreCalls, 3);
});

test("a damaged cache is computed again, with a notice", async (folder) => {
  await cachedReference(request(folder).asked);
  const path = `${folder}/cache/${cacheFileName(key)}`;
  const whole = await Deno.readFile(path);
  const flipped = whole.slice();
  flipped[whole.length >> 1] ^= 4;
  const otherName = `${folder}/cache/${cacheFileName({ ...key, data: "c" })}`;
  for (
    const bytes of [flipped, whole.subarray(0, 99), Uint8Array.of(...whole, 0), Uint8Array.of()]
  ) {
    await Deno.writeFile(path, bytes);
    const { asked, engine, events } = request(folder);
    assertEquals((await cachedReference(asked)).sums(examples), expected);
    assertEquals(engine.scoreCalls, 3);
    assertEquals(events[0].type, "notice");
    assertEquals(await Deno.readFile(path), whole);
  }
  await Deno.writeFile(otherName, whole);
  const { asked, events } = request(folder, { key: { ...key, data: "c" } });
  await cachedReference(asked);
  assert(events[0].type === "notice" && events[0].text.includes("it is of another key"));
});

test("a failing disk leaves no cache behind that is not whole, and the run goes on", async (folder) => {
  let failed = true;
  for (let n = 1; failed; n++) {
    const { operations } = faultyOperations(n, "kill");
    const first = request(folder, { operations });
    const cache = await cachedReference(first.asked);
    assertEquals(cache.sums(examples), expected);
    const texts = noticesOf(first.events);
    failed = texts.length > 0;
    if (failed) {
      assert(texts[0].includes(`"${folder}/cache" is not used`) && texts[0].includes(FULL));
    }
    assertEquals(cache.path === undefined, failed);
    const { asked, events } = request(folder);
    await cachedReference(asked);
    assertEquals(noticesOf(events), []);
    await Deno.remove(`${folder}/cache`, { recursive: true });
  }
});

test("a cache folder that cannot be used is told about and done without", async (folder) => {
  await Deno.writeTextFile(`${folder}/cache`, "a file in the way");
  const { asked, engine, events } = request(folder);
  const cache = await cachedReference(asked);
  assertEquals(cache.sums(examples), expected);
  assertEquals([engine.scoreCalls, cache.path], [3, undefined]);
  const [text, ...others] = noticesOf(events);
  assert(text.includes(`"${folder}/cache" is not used`), text);
  assertEquals(others, []);
});

test("runs that are started together write one whole cache", async (folder) => {
  const asked = Array.from({ length: 8 }, () => request(folder));
  await Promise.all(asked.map((one) => cachedReference(one.asked)));
  assertEquals(asked.flatMap((one) => noticesOf(one.events)), []);
  const names = [...Deno.readDirSync(`${folder}/cache`)].map(({ name }) => name);
  assertEquals(names, [cacheFileName(key)]);
  const { asked: again, engine } = request(folder);
  assertEquals((await cachedReference(again)).sums(examples), expected);
  assertEquals(engine.scoreCalls, 0);
});

test("a cache of other rows under the same key is computed again, once", async (folder) => {
  const answers = (await dataset.get(10)).answers.map((one) => ({ ...one, scoredFrom: 0 }));
  const longer = {
    length: 11,
    get: async (i: number) => i < 10 ? dataset.get(i) : { ...await dataset.get(10), answers },
  };
  for (const other of [pairs(11, 7), pairs(12, 40), longer]) {
    await cachedReference(request(folder, { dataset: other }).asked);
    const { asked, engine, events } = request(folder);
    assertEquals((await cachedReference(asked)).sums(examples), expected);
    assertEquals(engine.scoreCalls, 3);
    const [text] = noticesOf(events);
    assert(/it has 12 rows, the data 11|it is of other data at row (40|50)/.test(text), text);
    const second = request(folder);
    await cachedReference(second.asked);
    assertEquals([second.engine.scoreCalls, second.events.length], [0, 0]);
    await Deno.remove(`${folder}/cache`, { recursive: true });
  }
});

test("a reference that is not finite writes no cache and names the row", async (folder) => {
  const { asked, engine } = request(folder);
  engine.onScore = (logps) => logps[0] = Infinity;
  await assertRejects(
    () => cachedReference(asked),
    NumbersError,
    "the reference's log-probability of the chosen answer of row 40",
  );
  await assertRejects(() => Deno.stat(`${folder}/cache/${cacheFileName(key)}`));
});

test("rows that are not in the cache, or have other lengths, are refused", async (folder) => {
  const cache = await cachedReference(request(folder).asked);
  assertEquals(cache.path, `${folder}/cache/${cacheFileName(key)}`);
  const [example] = examples;
  const refused = (row: number, cut: number) =>
    assertRejects(
      async () => {
        const answers = example.answers.map((one) => ({ ...one, ids: one.ids.subarray(cut) }));
        return await cache.sums([{ ...example, row, answers }]);
      },
      Error,
      `do not fit the data at row ${row}: delete "${cache.path}" and run again`,
    );
  await refused(7, 0);
  await refused(43, 1);
});

test("a stopped pass throws the signal's reason", async (folder) => {
  const { asked } = request(folder, { signal: AbortSignal.abort(new Error("stopped")) });
  await assertRejects(() => cachedReference(asked), Error, "stopped");
});
