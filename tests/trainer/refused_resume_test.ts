import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import dpo from "../../modes/dpo.ts";
import { ReportFileError } from "../../report/json_lines.ts";
import { ConfigError } from "../../trainer/error.ts";
import { FileError } from "../../trainer/file_error.ts";
import type { MovingReference } from "../../trainer/reference_cache.ts";
import { restoreReference } from "../../trainer/restore.ts";
import type { TrainingRun } from "../../trainer/run.ts";
import { train } from "../../trainer/trainer.ts";
import { checkpointState } from "./checkpoint_state.ts";
import {
  fakeRun,
  FILES_ALLOWED,
  folderDigest,
  pairs,
  readLines,
  settings,
  withFolder,
} from "./fake_run.ts";

const identities = { policy: "p1", reference: "r1" };
const train1 = { ...pairs(22), fingerprint: "d1" };

/** A run of 6 steps with a checkpoint each, that tells of what it is made. */
function knownRun(folder: string, changes: Partial<TrainingRun> = {}) {
  const run = fakeRun(dpo, folder, {
    settings: { ...settings, saveSteps: 1, saveTotalLimit: 2 },
    train: train1,
    identities,
    ...changes,
  });
  run.engine.chunkPlan = { tokens: 64, scored: 32 };
  return run;
}

function test(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test({
    name: `${name} (needs files)`,
    ignore: !FILES_ALLOWED,
    // A refused run leaves no file open.
    sanitizeResources: true,
    fn: () => withFolder(fn),
  });
}

function noticesOf(run: ReturnType<typeof knownRun>): string[] {
  return run.seen.flatMap((event) => event.type === "notice" ? [event.text] : []);
}

/** Ends the run as a killed process would, after `steps` steps and half a line. */
async function killedAfter(steps: number, folder: string): Promise<void> {
  const run = knownRun(folder);
  let updates = 0;
  run.engine.onGradient = () => {
    if (updates++ === steps) throw new Error("killed");
  };
  await assertRejects(() => train(run), Error, "killed");
  await Deno.writeTextFile(`${folder}/metrics.jsonl`, '{"step":9', { append: true });
  await Deno.writeTextFile(`${folder}/logs/margins/margins.jsonl`, '{"ep', { append: true });
  await Deno.writeTextFile(`${folder}/logs/margins/epoch_000/step_00099.npy`, "half");
  await Deno.mkdir(`${folder}/checkpoints/.tmp-step-000009`);
  await Deno.writeTextFile(`${folder}/checkpoints/.tmp-step-000009/state.json`, "half");
}

test("a refused resume changes nothing on disk and opens nothing", async (folder) => {
  await killedAfter(4, folder);
  const before = await folderDigest(folder);
  const refused = async (changes: Partial<TrainingRun>, text: string, kind = ConfigError) => {
    let opened = 0;
    const run = knownRun(folder, { resume: "newest", onOpened: () => opened++, ...changes });
    const error = await assertRejects(() => train(run), kind);
    assertStringIncludes(error.message, text);
    assertEquals(opened, 0, text);
    assertEquals(await folderDigest(folder), before, text);
  };
  await refused({ resume: "no" }, "pass --resume");
  const rmsprop = { ...settings, optimizer: { ...settings.optimizer, kind: "rmsprop" as const } };
  await refused({ settings: rmsprop }, 'with the optimizer "adamw", the config selects "rmsprop"');
  await refused(
    { train: { ...train1, fingerprint: "d2" } },
    "the tokens of the training data have changed",
  );
  await refused({ identities: { ...identities, policy: "p2" } }, "began with other weights");
  const grown = knownRun(folder).engine;
  grown.parameterShapes = new Map([["bigram.weight", [7, 7]], ["head.weight", [7, 7]]]);
  await refused({ engine: grown }, 'it lacks the tensor "head.weight"');
  const unreadable = knownRun(folder).engine;
  unreadable.restore = () => Promise.reject(new ConfigError("no room"));
  await refused({ engine: unreadable }, "no room");

  const path = `${folder}/logs/margins/margins.jsonl`;
  await Deno.truncate(path, 9);
  Object.assign(before, await folderDigest(folder));
  await refused({}, `Cannot continue "${path}"`, ReportFileError);
});

test("a moment or a weight that an engine does not get back is refused", async (folder) => {
  await killedAfter(2, folder);
  const forgetting = (kept: (name: string) => boolean) => {
    const { engine } = knownRun(folder);
    const restore = engine.restore.bind(engine);
    engine.restore = async (tensors) => {
      for await (const tensor of tensors) {
        if (kept(tensor.name)) await restore([tensor]);
        else return;
      }
    };
    return engine;
  };
  for (const name of ["bigram.weight", "exp_avg.bigram.weight", "exp_avg_sq.bigram.weight"]) {
    const engine = forgetting((given) => given !== name);
    const run = knownRun(folder, { resume: "newest", engine });
    // The first moment alone may be missing: RMSprop keeps none.
    if (name === "exp_avg.bigram.weight") {
      await assertRejects(() => train(run), ConfigError, "exp_avg_sq.bigram.weight");
    } else await assertRejects(() => train(run), ConfigError, `lacks the tensor "${name}"`);
  }
});

Deno.test("a moving reference that does not get back every tensor is refused", async () => {
  const shape = [7, 7], names = ["bigram.weight", "head.weight"];
  const taken: string[] = [];
  const reference: MovingReference = {
    parameterShapes: new Map(names.map((name) => [name, shape])),
    blend: () => {},
    async *weights() {},
    async restore(tensors) {
      for await (const { name } of tensors) taken.push(name);
    },
  };
  const restored = (saved: readonly string[]) => {
    const tensors = () => saved.map((name) => ({ name, shape, data: new Float32Array(49) }));
    return restoreReference(reference, {
      path: "runs/a/step-000002",
      state: checkpointState(2),
      weights: tensors,
      moments: tensors,
      reference: tensors,
    });
  };
  await restored(names);
  assertEquals(taken, names);
  await assertRejects(
    () => restored(["bigram.weight"]),
    ConfigError,
    'from "runs/a/step-000002": it lacks the tensor "head.weight", which the reference has',
  );
});

test("another reference and another chunk plan are told, unknown ones are not", async (folder) => {
  await train(knownRun(folder));
  const resumed = async (changes: Partial<TrainingRun>, chunks?: number) => {
    const run = knownRun(folder, { resume: "newest", ...changes });
    run.engine.chunkPlan = chunks ? { tokens: chunks, scored: 32 } : undefined;
    await train(run);
    return noticesOf(run).slice(1);
  };
  assertEquals(await resumed({}, 64), []);
  assertEquals(await resumed({ identities: undefined, train: pairs(22) }), []);
  const told = await resumed({ identities: { ...identities, reference: "r2" } }, 128);
  assertEquals(told.map((text) => text.slice(0, 22)), [
    "The reference differs ",
    "The checkpoint was mad",
  ]);
  assertStringIncludes(told[1], "64 tokens, 32 of them scored, now they have 128 and 32");
});

test("damaged newer checkpoints that were passed over give way, same bytes", async (folder) => {
  await withFolder(async (other) => {
    await train(knownRun(other));
    const expected = await folderDigest(other);
    for (const saveTotalLimit of [1, 2]) {
      await killedAfter(4, folder);
      await Deno.truncate(`${folder}/checkpoints/step-000004/model.safetensors`, 9);
      await assertRejects(() => train(knownRun(folder, { resume: "newest" })), ConfigError);
      const controller = new AbortController();
      const limited = { ...settings, saveSteps: 1, saveTotalLimit };
      const run = knownRun(folder, {
        resume: "older",
        settings: limited,
        onOpened: () => {
          const names = [...Deno.readDirSync(`${folder}/checkpoints`)].map(({ name }) => name);
          assertEquals(names, ["step-000003"]);
        },
        signal: controller.signal,
        events: { accept: (event) => event.type === "step" && controller.abort() },
      });
      const { summary } = await train(run);
      assertEquals(summary.checkpoint, `${folder}/checkpoints/step-000004`);
      await train(knownRun(folder, { resume: "newest" }));
      if (saveTotalLimit === 2) assertEquals(await folderDigest(folder), expected);
      for (const { name } of Deno.readDirSync(folder)) {
        await Deno.remove(`${folder}/${name}`, { recursive: true });
      }
    }
  });
});

test("onOpened comes once, after restoring and before the first event of the loop", async (folder) => {
  await train(knownRun(folder, { settings: { ...settings, maxSteps: 2 } }));
  const order: string[] = [];
  const run = knownRun(folder, {
    resume: "newest",
    onOpened: () => order.push(`opened at ${run.engine.table[3]}`),
    events: { accept: (event) => order.push(event.type) },
  });
  const fresh = run.engine.table[3];
  await train(run);
  const restored = order.findIndex((entry) => entry.startsWith("opened"));
  assertEquals(order.with(restored, "opened").slice(0, 4), ["notice", "opened", "start", "step"]);
  assertEquals(order.filter((entry) => entry.startsWith("opened")).length, 1);
  assert(order[restored] !== `opened at ${fresh}`);
  await assertRejects(
    () =>
      train({
        ...knownRun(folder),
        resume: "newest",
        onOpened: () => {
          throw new Error("cannot write config.yaml");
        },
      }),
    Error,
    "cannot write config.yaml",
  );
});

test("a signal during an evaluation lets it finish, says so, and keeps the bytes", async (folder) => {
  await withFolder(async (other) => {
    const last = (into: string, changes: Partial<TrainingRun> = {}) =>
      knownRun(into, {
        settings: { ...settings, evalBatchSize: 1, saveTotalLimit: 1, saveSteps: 3 },
        ...changes,
      });
    await train(last(other));
    const expected = await folderDigest(other);
    const controller = new AbortController();
    const texts: string[] = [];
    const order: string[] = [];
    let steps = 0;
    const run = last(folder, {
      signal: controller.signal,
      events: {
        accept: (event) => {
          if (event.type === "step") steps++;
          if (event.type === "progress" && steps === 3 && event.done === 2) controller.abort();
          if (event.type === "notice") texts.push(event.text);
          if (steps === 3) order.push(event.type);
        },
      },
    });
    const { summary } = await train(run);
    assertEquals([summary.steps, summary.stopped], [3, true]);
    assertEquals(texts.length, 1);
    assertStringIncludes(texts[0], "finishing the evaluation");
    // The notice comes within the second of five batches.
    const progress = order.filter((type) => type === "progress").length;
    assertEquals([order.indexOf("notice"), progress], [2, 5]);
    assertEquals(order.slice(-2), ["evaluation", "checkpoint"]);
    assert("eval_loss" in readLines(`${folder}/metrics.jsonl`).at(-1)!);
    await train(last(folder, { resume: "newest" }));
    assertEquals(await folderDigest(folder), expected);
  });
});

test("a margin log that cannot be kept is a file's error with the path", async (folder) => {
  await Deno.writeTextFile(`${folder}/taken`, "");
  const marginLog = { folder: `${folder}/taken`, sampleSize: 3 };
  await assertRejects(() => train(knownRun(folder, { marginLog })), Error, `"${folder}/taken`);
  const inTheWay = { folder: `${folder}/margins`, sampleSize: 3 };
  await Deno.mkdir(inTheWay.folder);
  await Deno.writeTextFile(`${inTheWay.folder}/epoch_000`, "");
  await assertRejects(
    () => train(knownRun(folder, { marginLog: inTheWay })),
    FileError,
    `Cannot create "${folder}/margins/epoch_000": `,
  );
  await Deno.remove(`${inTheWay.folder}/epoch_000`);
  await Deno.mkdir(`${inTheWay.folder}/epoch_000/step_00009.npy/below`, { recursive: true });
  await assertRejects(
    () => train(knownRun(folder, { marginLog: inTheWay })),
    FileError,
    `Cannot remove "${folder}/margins/epoch_000/step_00009.npy": `,
  );
});
