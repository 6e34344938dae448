/** Sweeps as a user starts them: killed at any moment they end with the same table. */
import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { finish, MAY_RUN, NEEDS, ROOT, withFolder } from "./program.ts";

const SWEEP = `
config: config_world.yaml
set: { max_steps: 8, dpo_training.save_steps: 3, dpo_training.batch_size: 8 }
example: { pairs: 64, flipped: 0.1 }
measure: { prompts: 8, samples: 2 }
axes:
  mode: [beta_dpo, epsilon_dpo]
  seed: [0..1]
show: [win_rate, reward, kl]
figures:
  - { kind: bars, group: mode, bar: mode, value: win_rate, base: 0.5 }
  - { kind: frontier, x: kl, y: reward, line: mode }
  - { kind: curves, value: loss, line: mode }
`;

function sweep(args: readonly string[]) {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--no-prompt", `${ROOT}/tools/sweep/main.ts`, ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Everything a sweep gives, less its folder's name. */
function given(out: string): string[] {
  return ["results.jsonl", "results.csv", "index.html"].map((name) =>
    Deno.readTextFileSync(`${out}/${name}`)
  );
}

Deno.test({
  name: `a sweep killed at any moment finishes with the same table ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const path = `${folder}/small.yaml`;
      Deno.writeTextFileSync(path, SWEEP);
      const started = performance.now();
      const whole = await finish(sweep([path, "--out", `${folder}/whole`]));
      assertEquals([whole.code, whole.stderr], [0, ""]);
      const seconds = (performance.now() - started) / 1000;

      const out = `${folder}/killed`;
      let kills = 0;
      // Moments no two of which are alike; the last start may go through.
      for (
        const share of [0.15, 0.45, 0.55, 0.35].map((part) => part * (0.7 + 0.6 * Math.random()))
      ) {
        const child = sweep([path, "--out", out, "--jobs", "2"]);
        const timer = setTimeout(() => child.kill("SIGKILL"), share * seconds * 1000);
        const { code } = await finish(child);
        clearTimeout(timer);
        if (code !== 0) kills++;
      }
      assertGreater(kills, 0);
      const last = await finish(sweep([path, "--out", out]));
      assertEquals([last.code, last.stderr], [0, ""]);
      assertEquals(given(out), given(`${folder}/whole`));

      const table = (text: string) => /\n\nmode[^]*?\n\n/.exec(text)![0];
      assertEquals(table(last.stdout), table(whole.stdout));
      const again = await finish(sweep([path, "--out", out]));
      assertStringIncludes(again.stdout, "4 runs in");
      assertStringIncludes(again.stdout, "4 of them done");
      assertEquals(again.stdout.includes("on average"), false);
    }),
});

Deno.test({
  name: `a run that fails leaves the others alone, and the sweep ends with 1 ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const path = `${folder}/failing.yaml`;
      const text = SWEEP.replace("[beta_dpo, epsilon_dpo]", "[no_such_mode, dpo]")
        .replace("[0..1]", "[0]");
      Deno.writeTextFileSync(path, text);
      const { code, stdout, stderr } = await finish(sweep([path, "--out", `${folder}/out`]));
      assertEquals(code, 1);
      assertStringIncludes(stderr, "mode=no_such_mode,seed=0  failed: Error: ");
      assertStringIncludes(stderr, "1 runs failed");
      assertStringIncludes(stdout, "mode=dpo,seed=0");
      Deno.writeTextFileSync(path, text.replace("pairs: 64", "pairs: 65"));
      const changed = await finish(sweep([path, "--out", `${folder}/out`]));
      assertEquals(changed.code, 2);
      assertStringIncludes(changed.stderr, "comes from other settings");
    }),
});
