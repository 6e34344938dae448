import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { NamedTensor } from "../../model/engine.ts";
import { diskOperations, type FileOperations } from "../../trainer/atomic_write.ts";
import {
  cleanCheckpoints,
  removeCheckpointsAbove,
  saveCheckpoint,
} from "../../trainer/checkpoint.ts";
import {
  DamagedCheckpoint,
  newestCheckpoint,
  openCheckpoint,
} from "../../trainer/checkpoint_read.ts";
import { ConfigError } from "../../trainer/error.ts";
import { FileError } from "../../trainer/file_error.ts";
import { checkpointState } from "./checkpoint_state.ts";
import { FakeEngine } from "./fake_engine.ts";
import { FILES_ALLOWED, withFolder } from "./fake_run.ts";
import { type Fault, faultyOperations, FULL } from "./faulty_operations.ts";

const SETTINGS = {
  kind: "adamw",
  learningRate: 0.1,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0,
  alpha: 0.99,
  maxGradNorm: 1,
} as const;

/** An engine after `steps` updates, so that checkpoints of different steps differ. */
async function engineAfter(steps: number): Promise<FakeEngine> {
  const engine = new FakeEngine(5, (i) => Math.sin(i));
  for (let step = 1; step <= steps; step++) {
    engine.gradient.forEach((_, i, gradient) => gradient[i] = Math.cos(i * step));
    await engine.update({ ...SETTINGS, step }).status();
  }
  return engine;
}

async function save(
  folder: string,
  step: number,
  operations: FileOperations = diskOperations,
  limit?: number,
): Promise<string> {
  const [engine, state] = [await engineAfter(step), checkpointState(step)];
  return await saveCheckpoint({ folder, operations, engine, state, limit });
}

/** Checks that a checkpoint's tensors are exactly those of its step. */
async function assertWhole(folder: string): Promise<number> {
  const found = await newestCheckpoint(folder);
  assert(found);
  const engine = await engineAfter(found.state.step);
  const expected: NamedTensor[] = [];
  for await (const tensor of engine.weights()) expected.push(tensor);
  for await (const tensor of engine.moments()) expected.push(tensor);
  const tensors = [...found.weights(), ...found.moments()];
  assertEquals(tensors.map(({ name }) => name), expected.map(({ name }) => name));
  tensors.forEach(({ data }, i) => assertEquals(data, expected[i].data));
  assertEquals(found.state, checkpointState(found.state.step));
  return found.state.step;
}

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs files)`, ignore: !FILES_ALLOWED, fn });
}

test("a checkpoint comes back as it was saved; the limit keeps the newest", async () => {
  await withFolder(async (folder) => {
    assertEquals(await newestCheckpoint(`${folder}/none`), undefined);
    for (const step of [1, 2, 3]) await save(folder, step, diskOperations, 2);
    assertEquals(await assertWhole(folder), 3);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assertEquals(names, ["step-000002", "step-000003"]);
  });
});

test("a later step than the saved one is never counted as newest, nor removed by it", async () => {
  await withFolder(async (folder) => {
    for (const step of [1, 2, 4]) await save(folder, step);
    await save(folder, 3, diskOperations, 2);
    const names = () => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assertEquals(names(), ["step-000002", "step-000003", "step-000004"]);
    await removeCheckpointsAbove(diskOperations, folder, 3);
    assertEquals(names(), ["step-000002", "step-000003"]);
  });
});

test("a folder of checkpoints that cannot be read is a file's error by name", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/checkpoints`, "");
    for (const path of ["checkpoints", "checkpoints/below"]) {
      const error = await assertRejects(() => newestCheckpoint(`${folder}/${path}`), FileError);
      assertStringIncludes(error.message, `Cannot read "${folder}/${path}"`);
    }
  });
});

for (const fault of ["error", "short", "kill"] as Fault[]) {
  test(`whatever operation of a save fails (${fault}), the old or the new one is whole`, async () => {
    const found = new Set<number>();
    let operationCount = Infinity;
    for (let n = 1; n <= operationCount; n++) {
      await withFolder(async (folder) => {
        await save(folder, 1);
        const { operations, log } = faultyOperations(n, fault);
        await save(folder, 2, operations, 1).then(() => operationCount = log.length, (error) => {
          assertStringIncludes(error.message, FULL);
          assertStringIncludes(error.message, `"${folder}`);
          assert(error instanceof FileError && error.cause instanceof Error);
        });
        found.add(await assertWhole(folder));
        // The next start leaves nothing of it behind.
        await cleanCheckpoints(diskOperations, folder);
        const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
        assert(names.every((name) => /^step-00000[12]$/.test(name)), names.join());
        await save(folder, 3);
        assertEquals(await assertWhole(folder), 3);
      });
    }
    assert(operationCount > 20, `${operationCount} operations`);
    assertEquals(found, new Set(fault === "short" ? [2] : [1, 2]));
  });
}

test("a save writes, syncs, renames, syncs the parent, and only then deletes", async () => {
  await withFolder(async (folder) => {
    await save(folder, 1);
    const { operations, log } = faultyOperations(0);
    await save(folder, 2, operations, 1);
    const order = log.map((entry) => entry.replaceAll(`${folder}/`, ""));
    const at = (text: string) => {
      const index = order.findIndex((entry) => entry === text || entry.endsWith(text));
      assert(index >= 0, `${text} in ${order.join("\n")}`);
      return index;
    };
    const temporary = ".tmp-step-000002";
    const steps = [
      at(`write ${temporary}/model.safetensors`),
      at(`sync ${temporary}/model.safetensors`),
      at(`sync ${temporary}/optimizer.safetensors`),
      at(`sync ${temporary}/state.json`),
      at(`create ${temporary}/manifest.json`),
      at(`sync ${temporary}/manifest.json`),
      at(`syncFolder ${temporary}`),
      at("rename step-000002"),
      at(`syncFolder ${folder}`),
      at("rename .tmp-removed-step-000001"),
    ];
    assertEquals(steps, steps.toSorted((a, b) => a - b));
  });
});

test("damaged checkpoints are refused with the name of the file", async () => {
  const damages: [string, string, (path: string) => Promise<void>][] = [];
  const change = (text: string, edit: (bytes: Uint8Array) => Uint8Array) =>
    [
      text,
      async (path: string) => await Deno.writeFile(path, edit(await Deno.readFile(path))),
    ] as const;
  const cuts = [
    change("bytes, not", (bytes) => bytes.subarray(0, bytes.length - 1)),
    change("bytes, not", (bytes) => Uint8Array.of(...bytes, 0)),
    change("bytes, not", () => new Uint8Array()),
    change("another sha256", (bytes) => {
      bytes[bytes.length >> 1] ^= 1;
      return bytes;
    }),
    ["cannot be read", (path: string) => Deno.remove(path)] as const,
  ];
  for (const file of ["model.safetensors", "optimizer.safetensors", "state.json"]) {
    for (const [text, damage] of cuts) damages.push([file, text, damage]);
  }
  const manifest = (text: string, edit: (text: string) => string) => {
    damages.push(["manifest.json", text, async (path) => {
      await Deno.writeTextFile(path, edit(await Deno.readTextFile(path)));
    }]);
  };
  manifest("is not JSON", (text) => text.slice(0, -9));
  manifest("has format 7", (text) => text.replace(/"format": \d/, '"format": 7'));
  manifest('names "../x"', (text) => text.replace('"model.safetensors"', '"../x"'));
  manifest('wrong at "files.model.safetensors', (text) => text.replace('"bytes": ', '"bytes": -'));
  damages.push(["manifest.json", "cannot be read", (path) => Deno.remove(path)]);
  for (const [file, text, damage] of damages) {
    await withFolder(async (folder) => {
      await save(folder, 1);
      const newest = await save(folder, 2);
      await damage(`${newest}/${file}`);
      const error = await assertRejects(() => openCheckpoint(newest), DamagedCheckpoint, text);
      assertStringIncludes(error.message, `Checkpoint "${newest}" is damaged: "${file}"`);
      await assertRejects(
        () => newestCheckpoint(folder),
        ConfigError,
        '"step-000001" before it is whole: pass --allow-older',
      );
      assertEquals((await newestCheckpoint(folder, true))!.state.step, 1);
    });
  }
});

test("files swapped between checkpoints are refused", async () => {
  for (const file of ["model.safetensors", "state.json", "manifest.json"]) {
    await withFolder(async (folder) => {
      const [old, newest] = [await save(folder, 1), await save(folder, 2)];
      await Deno.copyFile(`${old}/${file}`, `${newest}/${file}`);
      await assertRejects(() => openCheckpoint(newest), DamagedCheckpoint);
    });
  }
  await withFolder(async (folder) => {
    const old = await save(folder, 1);
    await Deno.rename(old, `${folder}/step-000009`);
    await assertRejects(() => newestCheckpoint(folder), ConfigError, '"state.json" is of step 1');
  });
});
