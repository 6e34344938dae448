import { assertEquals, assertThrows } from "@std/assert";
import { maskedCrc32c } from "../../report/checksum.ts";
import { bucketsOf } from "../../report/histogram.ts";
import { ReportFileError } from "../../report/json_lines.ts";
import { tensorboardSink } from "../../report/tensorboard/sink.ts";
import found from "../goldens/tensorboard/found.json" with { type: "json" };
import { CONFIG, marginsOf, SAMPLE, writeEventFiles } from "../goldens/tensorboard/event_files.ts";

const FILES_ALLOWED = (await Deno.permissions.query({ name: "write" })).state === "granted" &&
  (await Deno.permissions.query({ name: "read" })).state === "granted";

function test(name: string, fn: (folder: string) => void | Promise<void>): void {
  Deno.test({
    name: name + (FILES_ALLOWED ? "" : " (needs files)"),
    ignore: !FILES_ALLOWED,
    async fn() {
      const folder = Deno.makeTempDirSync();
      try {
        await fn(folder);
      } finally {
        Deno.removeSync(folder, { recursive: true });
      }
    },
  });
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

test("event files are byte for byte those that TensorBoard read", async (folder) => {
  writeEventFiles(folder);
  const digests: Record<string, string> = {};
  for (const name of names(folder)) {
    const digest = await crypto.subtle.digest("SHA-256", Deno.readFileSync(`${folder}/${name}`));
    digests[name] = new Uint8Array(digest).toHex();
  }
  assertEquals(digests, found.files);
});

Deno.test("TensorBoard found every scalar once, resumed steps in place of the killed ones", () => {
  const steps = [1, 2, 3, 4, 5, 6];
  const { scalars } = found;
  assertEquals(scalars.loss.map(([step]) => step), steps);
  assertEquals(scalars.loss.map(([, value]) => value), steps.map((n) => Math.fround(0.75 / n)));
  assertEquals(scalars["beta_dpo/M0"].map(([, value]) => value), steps.map((n) => n / 4));
  assertEquals(scalars["risk/tau"].map(([, value]) => value), steps.map((n) => -n));
  assertEquals(scalars.eval_loss.map(([step, value]) => [step, value]), [[6, 0.5]]);
  assertEquals(scalars["time/tokens_per_second"].map(([, value]) => value), steps.map(() => 800));
  // Steps 3 and 4 are those of the second process, which began 0.5 s after the first.
  const start = Date.UTC(2026, 0, 2, 3, 4, 5, 250) / 1000;
  const seconds = scalars.loss.map(([, , time]) => time - start);
  assertEquals(seconds, [0.125, 0.25, 0.625, 0.75, 0.875, 1]);
});

Deno.test("TensorBoard found histograms with all finite values, and the texts", () => {
  const { histograms, texts } = found;
  assertEquals(Object.keys(histograms), ["distribution/margins", "distribution/rewards/chosen"]);
  for (const histogram of histograms["distribution/margins"]) {
    const values = marginsOf(histogram.step).filter(Number.isFinite);
    const { limits, counts } = bucketsOf(values);
    assertEquals([histogram.limits, histogram.counts], [limits, counts]);
    const sum = (map: (value: number) => number) => values.reduce((a, v) => a + map(v), 0);
    assertEquals([histogram.min, histogram.max, histogram.num], [
      Math.min(...values),
      Math.max(...values),
      values.length,
    ]);
    assertEquals([histogram.sum, histogram.sum_squares], [sum((v) => v), sum((v) => v * v)]);
  }
  assertEquals(histograms["distribution/rewards/chosen"][0].counts, [2]);
  assertEquals(texts.config, {
    plugin: "text",
    values: [[0, `\`\`\`\`\n${CONFIG.trimEnd()}\n\`\`\`\``]],
  });
  const [[step, text]] = texts["samples/1"].values as [number, string][];
  assertEquals(step, 6);
  for (const part of [SAMPLE.prompt.trimEnd(), SAMPLE.reference, SAMPLE.policy]) {
    assertEquals(text.split(part).length, 2, part);
  }
});

Deno.test("buckets hold every finite value once", () => {
  const values = Float64Array.of(0, 1, 2, 3, 4, NaN, Infinity, 4);
  assertEquals(bucketsOf(values, 4), { limits: [1, 2, 3, 4], counts: [1, 1, 1, 3] });
  assertEquals(bucketsOf(Float64Array.of(7, 7), 4), { limits: [7], counts: [2] });
  assertEquals(bucketsOf(Float64Array.of(NaN), 4), { limits: [], counts: [] });
});

test("every step is in the file at once, in whole records", (folder) => {
  const sink = tensorboardSink({ folder, finished: 0, config: "a: 1\n", now: () => 5000 });
  const path = `${folder}/${names(folder)[0]}`;
  const lengths: number[] = [];
  for (const step of [1, 2]) {
    sink.accept({ type: "step", step, totalSteps: 2, pairs: 1, tokens: 1, metrics: { loss: 1 } });
    lengths.push(recordsOf(Deno.readFileSync(path)));
  }
  sink.close?.();
  // The version, the config, and the steps.
  assertEquals(lengths, [3, 4]);
  Deno.writeTextFileSync(`${folder}/file`, "");
  const within = { folder: `${folder}/file`, finished: 0, config: "", now: () => 0 };
  assertThrows(() => tensorboardSink(within), ReportFileError, `${folder}/file`);
});

/** The number of TFRecords, each with good checksums. */
function recordsOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer);
  let at = 0, count = 0;
  while (at < bytes.length) {
    const length = Number(view.getBigUint64(at, true));
    assertEquals(view.getUint32(at + 8, true), maskedCrc32c(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    assertEquals(view.getUint32(at + 12 + length, true), maskedCrc32c(data));
    at += 16 + length;
    count++;
  }
  return count;
}
