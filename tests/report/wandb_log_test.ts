import { assert, assertEquals, assertThrows } from "@std/assert";
import { crc32, crc32c, maskedCrc32c } from "../../report/checksum.ts";
import { ReportFileError } from "../../report/json_lines.ts";
import { messageFields, MessageWriter } from "../../report/protobuf.ts";
import { FIRST_RECORD, readLog, RunLog } from "../../report/wandb/log_file.ts";
import { readRecord } from "../../report/wandb/record.ts";
import synced from "../goldens/wandb/synced.json" with { type: "json" };
import { STEPS, writeOfflineRun } from "../goldens/wandb/offline_run.ts";

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

Deno.test("the checksums of the check values' text", () => {
  const digits = new TextEncoder().encode("123456789");
  // The published check values of CRC-32C and CRC-32.
  assertEquals([crc32c(digits), crc32(digits)], [0xe3069283, 0xcbf43926]);
  assertEquals(crc32(digits.subarray(0, 4), digits.subarray(4)), 0xcbf43926);
  // Rotated right by 15 bits, plus a constant: 0xe3069283 -> 0x2507c60d + 0xa282ead8.
  assertEquals(maskedCrc32c(digits), 0xc78ab0e5);
});

Deno.test("numbers of a message come back, up to 2^53 - 1", () => {
  for (const value of [0, 127, 128, 300, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    const bytes = new MessageWriter().integer(21, value).text(200, "é").finish();
    const [number, text] = [...messageFields(bytes)];
    assertEquals(number, { field: 21, value });
    assertEquals(text, { field: 200, value: new TextEncoder().encode("é") });
  }
  assertEquals([...new MessageWriter().integer(1, 300).finish()], [8, 0xac, 2]);
  assertThrows(() => new MessageWriter().integer(1, -1), RangeError, "-1");
  assertThrows(() => [...messageFields(Uint8Array.of(10, 5, 1))], Error, "cut off");
  assertThrows(() => [...messageFields(Uint8Array.of(8, 128))], Error, "ends within a number");
});

/** Sizes that end at, before and beyond the edges of blocks of 32 KiB. */
const SIZES = [0, 1, 32740, 3, 4, 0, 32760, 70_000, 32761, 32762, 5, 100_000];

function record(size: number, salt: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + salt) % 251);
}

test("records of any size come back, from any of their beginnings", (folder) => {
  const log = RunLog.create(`${folder}/a`);
  const ends = SIZES.map((size, i) => {
    log.append(record(size, i));
    return log.position;
  });
  const stored = [...readLog(log.path)];
  assertEquals(stored.map(({ end }) => end), ends);
  stored.forEach(({ data }, i) => assertEquals(data, record(SIZES[i], i)));
  for (const i of [0, 3, 7, 11]) {
    const rest = [...readLog(log.path, ends[i])];
    assertEquals(rest.map(({ data }) => data.length), SIZES.slice(i + 1));
  }
  log.close();
  assertThrows(() => RunLog.create(log.path), ReportFileError, log.path);
});

test("where just the head of a fragment fits, the record begins with an empty one", (folder) => {
  const log = RunLog.create(`${folder}/a`);
  log.append(record(32768 - 7 - 7 - 7, 1));
  assertEquals(log.position, 32761);
  log.append(record(10, 2));
  log.close();
  // Length and type of the fragment: 0 bytes of a first one, as LevelDB writes it.
  assertEquals([...Deno.readFileSync(log.path).subarray(32765, 32768)], [0, 0, 2]);
  assertEquals([...readLog(log.path)].map(({ data }) => data.length), [32747, 10]);
});

test("a torn or damaged log is read up to there, and continued from there", (folder) => {
  const path = `${folder}/a`;
  const log = RunLog.create(path);
  for (const size of [10, 40_000, 20]) log.append(record(size, size));
  log.close();
  const whole = Deno.readFileSync(path);
  const lengths = () => [...readLog(path)].map(({ data }) => data.length);
  for (const cut of [whole.length - 1, whole.length - 21, 36_000, FIRST_RECORD + 5, 3]) {
    Deno.writeFileSync(path, whole.subarray(0, cut));
    const expected = cut > 40_027 ? [10, 40_000] : cut > 30 ? [10] : [];
    assertEquals(lengths(), expected, `${cut}`);
  }
  const damaged = whole.slice();
  damaged[33_000] ^= 1;
  Deno.writeFileSync(path, damaged);
  assertEquals(lengths(), [10]);
  const end = [...readLog(path)].at(-1)!.end;
  const again = RunLog.continue(path, end);
  again.append(record(50_000, 1));
  again.close();
  assertEquals(lengths(), [10, 50_000]);
  const short = RunLog.continue(path, end);
  short.append(record(5, 1));
  short.close();
  assertEquals([lengths(), Deno.statSync(path).size], [[10, 5], end + 7 + 5]);
});

test("the offline run is byte for byte the one that wandb sync took", async (folder) => {
  await writeOfflineRun(folder);
  const path = `${folder}/wandb/offline-run-20260102_030405-golden01/run-golden01.wandb`;
  const bytes = Deno.readFileSync(path);
  assert(bytes.length > 3 * 32768, `${bytes.length}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  assertEquals(digest, synced.log_sha256);
  // What W&B's own client read in it and sent on.
  const steps = Array.from({ length: STEPS + 1 }, (_, step) => step);
  assertEquals(synced.steps, steps);
  assertEquals(synced.losses, steps.map((step) => step === 0 ? null : 0.5 / step));
  assertEquals(synced.run, {
    name: "golden01",
    project: "demo",
    entity: null,
    displayName: "first",
  });
  assertEquals(synced.config.dpo_training.value, { batch_size: 4, learning_rate: 1e-6 });
  const rows = [...readLog(path)].map(({ data }) => readRecord(data))
    .flatMap((stored) => stored.kind === "history" ? [new Map(stored.items)] : []);
  const last = synced.rows[1] as Record<string, unknown>;
  assertEquals(Object.keys(last).sort(), [...rows.at(-1)!.keys()].sort());
  for (const [key, json] of rows.at(-1)!) assertEquals(last[key], JSON.parse(json), key);
  assertEquals(rows[7].get("rewards/margins"), '"NaN"');
  assertEquals([synced.complete, synced.exitcode], [[true], [3]]);
});
