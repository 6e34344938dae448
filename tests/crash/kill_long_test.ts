/**
 * Runs that are killed at random moments and resumed end in the same bytes as one that was not. How
 * many kills: 25, or `KILLS`; the moments come from `KILL_SEED`.
 */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { builtInModes } from "../../modes/mod.ts";
import { Random } from "../reference/random.ts";
import { folderDigest, withFolder } from "../trainer/fake_run.ts";
import { fromFileUrl } from "../e2e/paths.ts";

const MAY = (await Promise.all(
  (["run", "read", "write", "env"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");
const NEEDS = "(needs processes, files and environment)";
const KILLS = MAY ? Number(Deno.env.get("KILLS") ?? 25) : 0;
const SEED = MAY ? Number(Deno.env.get("KILL_SEED") ?? 1) : 1;
const CHILD = fromFileUrl(new URL("./run.ts", import.meta.url));

interface Ended {
  readonly done: boolean;
  /** Milliseconds from the beginning of training to its end. */
  readonly duration: number;
  readonly killed: boolean;
  readonly text: string;
}

/** A run in a process of its own, killed so many milliseconds after training began; absent: not. */
async function runOnce(
  mode: string,
  folder: string,
  { resume, naive, killAfter }: { resume: boolean; naive?: boolean; killAfter?: number },
): Promise<Ended> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-prompt", "--no-check", "--cached-only", CHILD],
      ...[mode, folder, resume ? "newest" : "no"],
      ...(naive ? ["naive"] : []),
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let text = "", opened = 0, timer: ReturnType<typeof setTimeout> | undefined, killed = false;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (opened > 0 || !text.includes("open")) continue;
    opened = performance.now();
    if (killAfter === undefined) continue;
    timer = setTimeout(() => {
      killed = true;
      child.kill("SIGKILL");
    }, killAfter);
  }
  await child.status;
  const duration = performance.now() - opened;
  if (timer !== undefined) clearTimeout(timer);
  return { done: text.includes("done"), duration, killed, text: text + await errors };
}

/** The files of an undisturbed run of a mode, and how long it trained. */
async function undisturbed(mode: string) {
  let digest: Record<string, string> = {}, duration = 0;
  await withFolder(async (folder) => {
    const ended = await runOnce(mode, folder, { resume: false });
    assert(ended.done, ended.text);
    duration = ended.duration;
    digest = await folderDigest(folder);
  });
  assert("checkpoints/step-000040/optimizer.safetensors" in digest);
  return { digest, duration };
}

/**
 * Kills a run at random moments, goes on, kills again with probability 1/2, and so on to its end.
 *
 * @returns kills, and what was wrong at the end
 */
async function killedRun(
  mode: string,
  expected: { readonly digest: Record<string, string>; readonly duration: number },
  random: Random,
  { naive = false, most = Infinity }: { naive?: boolean; most?: number } = {},
): Promise<{ kills: number; fault: string | undefined }> {
  let kills = 0, fault: string | undefined;
  await withFolder(async (folder) => {
    for (let resume = false;; resume = true) {
      const kill = kills < most && (kills === 0 || random.uniform() < 0.5);
      const killAfter = kill ? random.uniform() * expected.duration : undefined;
      const ended = await runOnce(mode, folder, { resume, naive, killAfter });
      if (ended.killed) kills++;
      else if (ended.done) break;
      else {
        fault = ended.text;
        return;
      }
    }
    // What a killed write left is taken away by the next start, not by the last one's end.
    const found = await folderDigest(folder);
    const names = new Set([...Object.keys(found), ...Object.keys(expected.digest)]);
    const other = [...names].find((name) => found[name] !== expected.digest[name]);
    if (other !== undefined) fault = `"${other}" differs`;
  });
  return { kills, fault };
}

Deno.test({
  name: `killed at random moments and resumed: the same bytes, every mode ${NEEDS}`,
  ignore: !MAY,
  async fn() {
    const random = new Random(SEED);
    let kills = 0;
    // Every mode once, then modes as they are drawn.
    for (let turn = 0; kills < KILLS || turn < builtInModes.length; turn++) {
      const mode = builtInModes[turn] ??
        builtInModes[Math.floor(random.uniform() * builtInModes.length)];
      const expected = await undisturbed(mode);
      const rest = Math.max(1, KILLS - kills - (builtInModes.length - 1 - turn));
      const found = await killedRun(mode, expected, random, { most: rest });
      assertEquals(found.fault, undefined, `${mode} after ${found.kills} kills, seed ${SEED}`);
      kills += found.kills;
    }
    console.log(`${kills} kills, seed ${SEED}`);
  },
});

Deno.test({
  name: `the same test finds a careless writer within 20 kills ${NEEDS}`,
  ignore: !MAY,
  async fn() {
    const random = new Random(SEED);
    const expected = await undisturbed("risk");
    let kills = 0;
    for (;;) {
      const found = await killedRun("risk", expected, random, { naive: true, most: 3 });
      kills += found.kills;
      assertLessOrEqual(kills, 20);
      if (found.fault !== undefined) break;
    }
  },
});
