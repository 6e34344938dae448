import { assertEquals, assertThrows } from "@std/assert";
import { PairAverages } from "../../report/averages.ts";
import { JsonLinesFile, ReportFileError } from "../../report/json_lines.ts";
import { metricsRecord, timingsSink } from "../../report/metrics_jsonl.ts";
import { bytesText, summaryLines } from "../../report/summary.ts";

const filesAllowed = (await Deno.permissions.query({ name: "write" })).state === "granted" &&
  (await Deno.permissions.query({ name: "read" })).state === "granted";

function test(name: string, fn: (path: string) => void): void {
  Deno.test({
    name: `${name} (needs files)`,
    ignore: !filesAllowed,
    fn() {
      const folder = Deno.makeTempDirSync();
      try {
        fn(`${folder}/lines.jsonl`);
      } finally {
        Deno.removeSync(folder, { recursive: true });
      }
    },
  });
}

Deno.test("a record's keys stand in one order whatever order they came in", () => {
  const one = { "risk/tau": 3, loss: 1, "dpo/beta": 2, grad_norm: 4, "rewards/margins": 5 };
  const other = Object.fromEntries(Object.entries(one).reverse());
  const text = '{"step":7,"loss":1,"grad_norm":4,"rewards/margins":5,"dpo/beta":2,"risk/tau":3}';
  assertEquals(JSON.stringify(metricsRecord(7, one)), text);
  assertEquals(JSON.stringify(metricsRecord(7, other)), text);
});

Deno.test("averages weigh pairs, a metric of some steps over those, and rates by their last", () => {
  const averages = new PairAverages();
  averages.add({ loss: 1, learning_rate: 5, num_tokens: 10 }, 1);
  averages.add({ loss: 2, learning_rate: 4, num_tokens: 20, "risk/p_hat": 0.5 }, 3);
  const expected = { loss: 1.75, learning_rate: 4, num_tokens: 20, "risk/p_hat": 0.5 };
  assertEquals(averages.values(), expected);
  assertEquals(averages.take(), expected);
  assertEquals(averages.take(), {});
});

test("a file of lines is cut to its position and refused when shorter", (path) => {
  const first = JsonLinesFile.open(path, 0);
  first.append({ step: 1 });
  const { position } = first;
  first.append({ step: 2, text: "ä" });
  first.sync();
  assertEquals([position, first.position], [11, 11 + 23]);
  first.close();
  assertEquals(Deno.statSync(path).size, 34);
  const second = JsonLinesFile.open(path, position);
  second.append({ step: 3 });
  second.close();
  assertEquals(Deno.readTextFileSync(path), '{"step":1}\n{"step":3}\n');
  for (const open of [JsonLinesFile.open, JsonLinesFile.check]) {
    assertThrows(() => open(path, 23), ReportFileError, "had 23 bytes, now it has 22");
  }
  assertEquals(Deno.statSync(path).size, 22);
  assertThrows(() => JsonLinesFile.open(`${path}.none`, 1), ReportFileError, "now it has 0");
  assertThrows(() => Deno.statSync(`${path}.none`), Deno.errors.NotFound);
});

test("what the file system refuses is a report's error with the path", (path) => {
  Deno.mkdirSync(path);
  const lines = (name: string) => JsonLinesFile.open(name, 0);
  assertThrows(() => lines(path), ReportFileError, `Cannot open "${path}": `);
  assertThrows(() => lines(`${path}/a/b`), ReportFileError, `Cannot open "${path}/a/b": `);
  const timings = () => timingsSink(path, { finished: 0, clock: () => 0 });
  assertThrows(timings, ReportFileError, `Cannot read "${path}": `);
  const closed = lines(`${path}/lines`);
  closed.close();
  assertThrows(() => closed.append({}), ReportFileError, `Cannot write "${path}/lines": `);
  assertThrows(() => closed.sync(), ReportFileError, `Cannot sync "${path}/lines": `);
});

test("timings go on after a resume without doubled, later or half lines", (path) => {
  let time = 0;
  const run = (finished: number, steps: readonly number[]) => {
    const sink = timingsSink(path, { finished, clock: () => time });
    sink.accept({ type: "start", step: finished, totalSteps: 9 });
    for (const step of steps) {
      time += 500;
      sink.accept({ type: "step", step, totalSteps: 9, pairs: 1, tokens: 100, metrics: {} });
    }
    sink.close?.();
  };
  run(0, [1, 2, 3]);
  Deno.writeTextFileSync(path, '{"step":4,"ti', { append: true });
  run(2, [3]);
  const lines = Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.map(({ step }) => step), [1, 2, 3]);
  assertEquals(lines[1], {
    step: 2,
    "time/elapsed": 1,
    "time/step": 0.5,
    "time/tokens_per_second": 200,
  });
});

Deno.test("the summary says what changed, and how to go on when stopped", () => {
  const summary = {
    mode: "risk",
    steps: 4,
    totalSteps: 6,
    epochs: 1.25,
    tokens: 900,
    first: { loss: Math.LN2 },
    last: { loss: 0.5 },
    before: { eval_loss: 0.7, "eval_rewards/accuracies": 0 },
    evaluation: { eval_loss: 0.6, "eval_rewards/accuracies": 0.75 },
    checkpoint: "out/checkpoints/step-000004",
    stopped: true,
  };
  assertEquals(summaryLines(summary, { seconds: 61 }), [
    "Stopped by a signal after step 4 of 6 in 1 min 01 s: mode risk, 1.25 epochs, 900 tokens",
    "Training loss 0.6931 -> 0.5000",
    "Evaluation: loss 0.7000 -> 0.6000",
    "Evaluation: reward accuracy 0.000 -> 0.750",
    "Newest checkpoint: out/checkpoints/step-000004",
    "Run the same command with --resume to continue",
  ]);
  const final = { "eval_rewards/accuracies": 0.7 };
  assertEquals(
    summaryLines({ ...summary, stopped: false }, { final })[2],
    "Evaluation of the written model: reward accuracy 0.000 -> 0.700",
  );
});

Deno.test("an accuracy of 0 is explained where the policy still was the reference", () => {
  const accuracy = (before: Record<string, number>) =>
    summaryLines({
      mode: "dpo",
      steps: 6,
      totalSteps: 6,
      epochs: 1,
      tokens: 9,
      before,
      evaluation: { "eval_rewards/accuracies": 0.75 },
      stopped: false,
    }).at(-1);
  const line = (start: string) => `Evaluation: reward accuracy ${start} -> 0.750`;
  assertEquals(
    accuracy({ "eval_rewards/accuracies": 0, "eval_rewards/margins": 0 }),
    `${line("0.000")} (before: all margins are 0)`,
  );
  assertEquals(
    accuracy({ "eval_rewards/accuracies": 0, "eval_rewards/margins": -0.1 }),
    line("0.000"),
  );
  assertEquals(
    accuracy({ "eval_rewards/accuracies": 0.5, "eval_rewards/margins": 0 }),
    line("0.500"),
  );
});

Deno.test("bytes", () => {
  assertEquals([512, 3 * 2 ** 20, 5 * 2 ** 30].map(bytesText), ["0.5 KiB", "3.0 MiB", "5.00 GiB"]);
});
