import { assertEquals, assertThrows } from "@std/assert";
import { encodeNpy, MarginLog } from "../../trainer/margin_log.ts";
import { FILES_ALLOWED, readLines, withFolder } from "./fake_run.ts";

Deno.test("an npy file has the bytes numpy.save writes", () => {
  // From numpy.save of np.array([1.5, -2], np.float32).
  const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  const bytes = encodeNpy(Float32Array.of(1.5, -2));
  assertEquals(bytes.length, 128 + 8);
  assertEquals([...bytes.subarray(0, 10)], [0x93, 78, 85, 77, 80, 89, 1, 0, 118, 0]);
  const text = new TextDecoder().decode(bytes.subarray(10, 128));
  assertEquals(text, header + " ".repeat(117 - header.length) + "\n");
  assertEquals([...bytes.subarray(128)], [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]);
});

const parts = [
  {
    rows: Uint32Array.of(9, 4),
    margins: Float64Array.of(1, -3),
    beta: 0.1,
    weights: Float64Array.of(1, 0),
  },
  { rows: Uint32Array.of(2), margins: Float64Array.of(5), beta: 0.2 },
];

function test(name: string, fn: (folder: string) => Promise<void> | void): void {
  Deno.test({
    name: `${name} (needs files)`,
    ignore: !FILES_ALLOWED,
    fn: () => withFolder(async (folder) => await fn(`${folder}/logs`)),
  });
}

test("a step is one record of all its micro-batches", (folder) => {
  const log = MarginLog.open({ folder, sampleSize: 2 }, 0, 0);
  log.write(0, 1, parts);
  log.sync();
  log.close();
  assertEquals(readLines(`${folder}/margins.jsonl`), [{
    epoch: 0,
    step: 1,
    batch_size: 3,
    mean: 1,
    std: Math.sqrt((0 + 16 + 16) / 3),
    min: -3,
    p10: -2.2,
    median: 1,
    p90: 4.2,
    max: 5,
    pos_frac: 2 / 3,
    npy: "epoch_000/step_00001.npy",
    sample: [1, -3],
    rows: [9, 4, 2],
    beta_used: [0.1, 0.1, 0.2],
    dropped_rows: [4],
  }]);
});

test("granularity micro gives each micro-batch a record and a file", (folder) => {
  const log = MarginLog.open({ folder, sampleSize: 0, granularity: "micro" }, 0, 0);
  log.write(2, 34, parts);
  log.close();
  const lines = readLines(`${folder}/margins.jsonl`);
  assertEquals(lines.map(({ npy, beta_used }) => [npy, beta_used]), [
    ["epoch_002/step_00034_micro_00.npy", 0.1],
    ["epoch_002/step_00034_micro_01.npy", 0.2],
  ]);
  assertEquals(Deno.readFileSync(`${folder}/${lines[0].npy}`).length, 128 + 8);
});

test("opened at a checkpoint, later lines and files are gone", (folder) => {
  const log = MarginLog.open({ folder, sampleSize: 0 }, 0, 0);
  log.write(0, 1, parts);
  const position = log.position;
  log.write(0, 2, parts);
  log.close();
  MarginLog.open({ folder, sampleSize: 0 }, position, 1).close();
  assertEquals(readLines(`${folder}/margins.jsonl`).map(({ step }) => step), [1]);
  const files = [...Deno.readDirSync(`${folder}/epoch_000`)].map(({ name }) => name);
  assertEquals(files, ["step_00001.npy"]);
  assertThrows(
    () => MarginLog.open({ folder, sampleSize: 0 }, position + 1, 1),
    Error,
    "put the file back or start in a new output folder",
  );
});
