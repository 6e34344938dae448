// What a margin log says of single pairs.
import { assertEquals, assertThrows } from "@std/assert";
import { decodeNpy } from "../../report/npy.ts";
import { pairGroups } from "../../report/page/pair_groups.ts";
import { readPairCourses, suspects, suspicions } from "../../report/pair_margins.ts";
import { encodeNpy } from "../../trainer/margin_log.ts";
import { FILES_ALLOWED, STEPS, withFolder, writeRun } from "./a_run.ts";

function test(name: string, fn: (folder: string) => void): void {
  Deno.test({
    name: `${name} (needs files)`,
    ignore: !FILES_ALLOWED,
    fn: () =>
      withFolder((folder) => {
        writeRun(folder);
        fn(`${folder}/logs/margins`);
      }),
  });
}

Deno.test("an npy file gives back the values, and nothing else is taken for one", () => {
  const bytes = encodeNpy(Float32Array.of(1.5, -2, 0.25));
  assertEquals([...decodeNpy(bytes)], [1.5, -2, 0.25]);
  assertThrows(() => decodeNpy(bytes.subarray(0, -1)), Error, "should have 140 bytes and has 139");
  assertThrows(() => decodeNpy(new TextEncoder().encode("{}")), Error, "no NumPy file");
  const wide = bytes.slice();
  wide[wide.indexOf("4".charCodeAt(0))] = "8".charCodeAt(0);
  assertThrows(() => decodeNpy(wide), Error, "no list of float32");
});

test("pairs come lowest mean margin first, each with its course", (folder) => {
  const pairs = readPairCourses(folder);
  assertEquals(pairs.map(({ row }) => row), [1, 2, 0, 3]);
  const [falling, turning, rising, dropped] = pairs;
  assertEquals(falling.margins, [-0.5, -1, -1.5, -2, -2.5, -3]);
  assertEquals([falling.mean, falling.last, falling.flips, falling.dropped], [-1.75, -3, 0, 0]);
  assertEquals([turning.flips, turning.mean], [STEPS - 1, 0]);
  assertEquals([rising.mean, rising.dropped], [3.5, 0]);
  assertEquals([dropped.mean, dropped.dropped], [9, STEPS]);
  assertEquals(pairs.map(suspicions), [["negative"], ["flipping"], [], ["never_selected"]]);
});

test("suspects are negative pairs that were seen twice, at most a share of all", (folder) => {
  const pairs = readPairCourses(folder);
  assertEquals(suspects(pairs, 1).map(({ row }) => row), [1]);
  assertEquals(suspects(pairs, 0.2), []);
  const once = pairs.map((pair) => ({ ...pair, steps: [1], margins: [pair.last] }));
  assertEquals(suspects(once, 1), []);
});

test("the page's groups hold their pairs, with texts where there are any", (folder) => {
  const texts = (row: number) =>
    row === 1 ? { prompt: "p", chosen: "c", rejected: "r" } : undefined;
  const groups = pairGroups(readPairCourses(folder), 5, texts);
  assertEquals(groups.map(({ id, pairs }) => [id, pairs.map(({ row }) => row)]), [
    ["negative", [1]],
    ["flipping", [2]],
    ["never", [3]],
  ]);
  assertEquals([groups[0].pairs[0].chosen, groups[1].pairs[0].chosen], ["c", undefined]);
  assertEquals(pairGroups(readPairCourses(folder), 0, texts)[0].pairs, []);
});

test("a log that does not name its rows is refused with the step", (folder) => {
  const path = `${folder}/margins.jsonl`;
  const text = Deno.readTextFileSync(path).replace('"rows":[0,1,2,3]', '"rows":[0,1,2]');
  Deno.writeTextFileSync(path, text);
  assertThrows(() => readPairCourses(folder), Error, "the line of step 1 does not name the row");
  Deno.removeSync(`${folder}/step_1.npy`);
  assertThrows(() => readPairCourses(folder), Error, "step_1.npy");
  Deno.removeSync(path);
  assertThrows(() => readPairCourses(folder), Error, `Cannot read "${path}"`);
});
