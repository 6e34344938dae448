/** Checkpoints damaged at random: never taken for whole, always refused by the file's name. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { diskOperations } from "../../trainer/atomic_write.ts";
import { saveCheckpoint } from "../../trainer/checkpoint.ts";
import {
  DamagedCheckpoint,
  newestCheckpoint,
  openCheckpoint,
} from "../../trainer/checkpoint_read.ts";
import { ConfigError } from "../../trainer/error.ts";
import { Random } from "../reference/random.ts";
import { checkpointState } from "../trainer/checkpoint_state.ts";
import { FakeEngine } from "../trainer/fake_engine.ts";
import { FILES_ALLOWED, withFolder } from "../trainer/fake_run.ts";
import { timesFuzz } from "./counts.ts";

type Files = Map<string, Uint8Array<ArrayBuffer>>;

async function filesOf(folder: string): Promise<Files> {
  const files: Files = new Map();
  for await (const { name } of Deno.readDir(folder)) {
    files.set(name, await Deno.readFile(`${folder}/${name}`));
  }
  return files;
}

async function save(folder: string, step: number): Promise<string> {
  const engine = new FakeEngine(5, (i) => Math.sin(i * step));
  engine.gradient.fill(1 / step);
  const settings = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, alpha: 0.99 };
  engine.update({ ...settings, kind: "adamw", weightDecay: 0, maxGradNorm: 0, step });
  const state = checkpointState(step);
  return await saveCheckpoint({ folder, operations: diskOperations, engine, state });
}

/** One damage to a file: what it is called, and the file afterwards; undefined for none. */
function damageOf(
  random: Random,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  other: Files,
): [string, Uint8Array<ArrayBuffer> | undefined] {
  const at = random.integer(bytes.length);
  const copy = bytes.slice();
  switch (random.integer(8)) {
    case 0:
    case 1:
      copy[at] ^= 1 << random.integer(8);
      return [`bit of byte ${at} turned`, copy];
    case 2:
      return [`cut to ${at} bytes`, copy.slice(0, at)];
    case 3: {
      const more = Uint8Array.from({ length: 1 + random.integer(40) }, () => random.integer(256));
      return [`${more.length} bytes longer`, Uint8Array.of(...copy, ...more)];
    }
    case 4:
      return ["empty", new Uint8Array()];
    case 5:
      return ["missing", undefined];
    case 6:
      return ["that of another step", other.get(name)!.slice()];
    default: {
      copy.fill(0, at, at + 512);
      return [`zeroed from byte ${at}`, copy];
    }
  }
}

function sameBytes(one: Uint8Array, two: Uint8Array | undefined): boolean {
  return two !== undefined && one.length === two.length && one.every((byte, i) => byte === two[i]);
}

/** The texts of a manifest that name what is not there, or leave out what is. */
function editManifest(random: Random, text: string): string {
  const manifest = JSON.parse(text);
  const names = Object.keys(manifest.files);
  const name = names[random.integer(names.length)];
  const entry = manifest.files[name];
  switch (random.integer(6)) {
    case 0:
      entry.bytes += random.integer(2) === 0 ? 1 : -1;
      break;
    case 1:
      entry.sha256 = entry.sha256.replace(/^./, (c: string) => c === "0" ? "1" : "0");
      break;
    case 2:
      delete manifest.files[name];
      break;
    case 3:
      manifest.files[`../${name}`] = entry;
      break;
    case 4:
      manifest.format = random.integer(100) + 50;
      break;
    default:
      entry.bytes = ["12", null, -1, 1e300, [1]][random.integer(5)];
  }
  return JSON.stringify(manifest);
}

Deno.test({
  name: "2,000 damaged checkpoints are refused, the one before is offered (needs files)",
  ignore: !FILES_ALLOWED,
  fn: () =>
    withFolder(async (folder) => {
      const random = new Random(9);
      const old = await filesOf(await save(folder, 1));
      const newest = await save(folder, 2);
      const whole = await filesOf(newest);
      const names = [...whole.keys()].sort();
      let refused = 0;
      for (let i = 0; refused < timesFuzz(2000); i++) {
        const name = names[random.integer(names.length)];
        const bytes = whole.get(name)!;
        const edited = name === "manifest.json" && random.integer(2) === 0;
        const [what, damaged] = edited
          ? [
            "edited",
            new TextEncoder().encode(editManifest(random, new TextDecoder().decode(bytes))),
          ]
          : damageOf(random, name, bytes, old);
        if (sameBytes(bytes, damaged)) continue;
        const place = `${i}: ${name} ${what}`;
        if (damaged) await Deno.writeFile(`${newest}/${name}`, damaged);
        else await Deno.remove(`${newest}/${name}`);
        const error = await assertRejects(
          () => openCheckpoint(newest),
          DamagedCheckpoint,
          "",
          place,
        );
        assert(error.message.includes(`Checkpoint "${newest}" is damaged: "`), place);
        // Where the manifest itself is edited, the file it misstates is the one that is named.
        if (!edited) assert(error.message.includes(`"${name}"`) || name === "manifest.json", place);
        if (i % 20 === 0) {
          await assertRejects(() => newestCheckpoint(folder), ConfigError, "--allow-older", place);
          assertEquals((await newestCheckpoint(folder, true))!.state.step, 1, place);
        }
        await Deno.writeFile(`${newest}/${name}`, bytes);
        refused++;
      }
      // Put back, it is whole again: the damage was what was refused.
      assertEquals((await newestCheckpoint(folder))!.state.step, 2);
    }),
});
