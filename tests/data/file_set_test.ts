import { assertEquals, assertThrows } from "@std/assert";
import { DataError } from "../../data/error.ts";
import { chooseFiles, type FileChoice, findFiles, patternFolder } from "../../data/file_set.ts";
import { openRows } from "../../data/open_rows.ts";

const choose = (files: string, choice: FileChoice = {}) =>
  chooseFiles(files.split(" "), choice, "set").join(" ");

Deno.test("chooseFiles() tells splits by the names of parts, files and folders", () => {
  const parts = "data/train-00001-of-00002.parquet data/test-00000-of-00001.parquet README.md " +
    "data/train-00000-of-00002.parquet .gitattributes dataset_infos.json";
  const train = "data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet";
  assertEquals(choose(parts), train);
  assertEquals(choose(parts, { split: "test" }), "data/test-00000-of-00001.parquet");
  const hh =
    "harmless-base/test.jsonl.gz harmless-base/train.jsonl.gz helpful-base/train.jsonl.gz " +
    "red-team-attempts/red_team_attempts.jsonl.gz";
  assertEquals(choose(hh), "harmless-base/train.jsonl.gz helpful-base/train.jsonl.gz");
  assertEquals(choose(hh, { config: "helpful-base" }), "helpful-base/train.jsonl.gz");
  assertEquals(choose("askbaking/train.json askbaking/validation.json"), "askbaking/train.json");
  assertEquals(choose("train/b.csv train/a.csv dev/a.csv"), "train/a.csv train/b.csv");
  assertEquals(choose("my_dev_set.csv my_training.csv", { split: "validation" }), "my_dev_set.csv");
  // No file says a split: all are for training. "constraint" holds no word for one.
  assertEquals(choose("constraint.jsonl orca_rlhf.jsonl"), "constraint.jsonl orca_rlhf.jsonl");
});

Deno.test("chooseFiles() takes a set's own name for a split, but no part of one", () => {
  const files = "data/train_prefs-00000-of-00001.parquet data/train_sft-00000-of-00001.parquet " +
    "data/test_prefs-00000-of-00001.parquet";
  const aliases = { train: "train_prefs" };
  assertEquals(choose(files, { aliases }), "data/train_prefs-00000-of-00001.parquet");
  assertEquals(choose(files, { split: "train_sft" }), "data/train_sft-00000-of-00001.parquet");
  assertThrows(
    () => choose(files),
    DataError,
    'no split "train"; the splits in the names of its files are: "test_prefs", "train_prefs", "train_sft"',
  );
});

Deno.test("chooseFiles() refuses what would be guesswork", () => {
  const cases: [string, FileChoice, string][] = [
    ["README.md", {}, "no data file in it"],
    ["a.csv", { split: "test" }, 'no split "test"'],
    ["train.csv train.jsonl", {}, "several kinds (csv, jsonl)"],
    ["a/train.csv", { config: "b" }, 'no folder "b" with data in it; there are: "a"'],
  ];
  for (const [files, choice, message] of cases) {
    assertThrows(() => choose(files, choice), DataError, message);
  }
});

Deno.test("patternFolder() is the folder without signs of a pattern", () => {
  assertEquals(["a/b/*.csv", "*.csv", "/x/{a,b}/c", "/*"].map(patternFolder), [
    "a/b",
    "",
    "/x",
    "/",
  ]);
});

const permissions = await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
);
Deno.test({
  name:
    "findFiles() reads a file, a folder with links, or a pattern, numbered through in order of names " +
    "(ignored without read and write permission)",
  ignore: permissions.some(({ state }) => state !== "granted"),
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      Deno.mkdirSync(`${folder}/set/data`, { recursive: true });
      for (const [i, name] of ["train-00000-of-00002", "train-00001-of-00002"].entries()) {
        Deno.writeTextFileSync(`${folder}/blob${i}`, `{"i":${2 * i}}\n{"i":${2 * i + 1}}\n`);
        Deno.symlinkSync(`${folder}/blob${i}`, `${folder}/set/data/${name}.jsonl`);
      }
      Deno.writeTextFileSync(`${folder}/set/.hidden.jsonl`, "{");
      const numbers = async (path: string) => {
        const rows = await openRows(findFiles(path));
        const read = Array.from({ length: rows.length }, (_, i) => rows.get(i).i);
        const places = [rows.place(0), rows.place(rows.length - 1)];
        rows.close();
        return { read, places };
      };
      const parts = [0, 1].map((i) => `${folder}/set/data/train-0000${i}-of-00002.jsonl`);
      const whole = { read: [0, 1, 2, 3], places: [`${parts[0]}:1`, `${parts[1]}:2`] };
      assertEquals(await numbers(`${folder}/set/`), { ...whole });
      assertEquals(await numbers(`${folder}/set/**/train-*.jsonl`), whole);
      assertEquals(await numbers(`${folder}/s?t/d[a-c]ta/{train,x}-0000[!0]*`), {
        read: [2, 3],
        places: [`${parts[1]}:1`, `${parts[1]}:2`],
      });
      assertEquals((await numbers(parts[1])).read, [2, 3]);
      assertThrows(() => findFiles(`${folder}/*.csv`), DataError, "no file fits this pattern");
      assertThrows(() => findFiles(`${folder}/none`), DataError, "there is no such file");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
