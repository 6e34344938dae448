// Modes that reach for more than numbers, or never return, under the flags of `deno task train`: Deno
// refuses the one, the watchdog ends the other, and the checkpoint of the step before stays whole.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { newestCheckpoint } from "../../trainer/checkpoint_read.ts";
import { MAY_RUN, NEEDS } from "./program.ts";
import { trainTask, withProject } from "./project_copy.ts";

/** A mode's file: dpo, with code of its own at four places. */
function modeFile(
  name: string,
  { top = "", needs = "", init = "", decide = "", after = "" }: Partial<Record<string, string>>,
): string {
  return `${top}
import type { LossMode } from "../losses/loss_mode.ts";
const mode: LossMode = {
  name: "${name}",
  help: "Hostile, for a test",
  version: 1,
  options: {},
  needs: () => { ${needs}; return { reference: "logps", scope: "pair", rows: "pairs" }; },
  init: () => { ${init}; return null; },
  decide: (_batch, _state, _options, context) => {
    if (context.training && context.microStep >= 1) { ${decide} }
    return { beta: 0.1, state: null, metrics: {} };
  },
  onOptimizerStep: (state, _options, context) => {
    if (context.optimizerStep >= 2) { ${after} }
    return { state };
  },
};
export default mode;
`;
}

const CONFIG = (mode: string) => `
policy_name: examples/model
mode: ${mode}
dataset: { dataset_name: examples/preferences.jsonl, subset: "train[:8]", val_ratio: 0 }
dpo_training: { batch_size: 2, learning_rate: 1e-4, save_steps: 1 }
max_steps: 3
mode_time_limit: 2
samples: { prompts: 0 }
`;

interface Case {
  /** The mode's code, or its whole file. */
  readonly file: Parameters<typeof modeFile>[1] | string;
  /** Besides the mode's name. */
  readonly message: readonly string[];
  /** Step of the checkpoint that must be whole; absent: the run ends before there is one. */
  readonly checkpoint?: number;
}

const LOOP = "for (;;);";
const ENDLESS = "did not end within 2 seconds";

const CASES: Record<string, Case> = {
  reads_passwords: {
    file: { decide: 'Deno.readTextFileSync("/etc/passwd");' },
    message: ['"decide" failed: Requires read access to "/etc/passwd"', "step 1, decision 1"],
    checkpoint: 1,
  },
  reads_keys: {
    file: { needs: 'for (const _ of Deno.readDirSync("/home/me/.ssh"));' },
    message: ['"needs" failed: Requires read access to "/home/me/.ssh"'],
  },
  writes_outside: {
    file: { needs: 'Deno.writeTextFileSync("modes/dpo.ts", "")' },
    message: ['Requires write access to "'],
  },
  fetches: {
    file: { needs: 'fetch("http://127.0.0.1:8199/")' },
    message: ['Requires net access to "127.0.0.1:8199"'],
  },
  runs_a_program: {
    file: { needs: 'new Deno.Command("id").outputSync()' },
    message: ['Requires run access to "id"'],
  },
  reads_environment: {
    file: { needs: 'Deno.env.get("HF_TOKEN")' },
    message: ['Requires env access to "HF_TOKEN"'],
  },
  loads_a_library: {
    file: { top: 'Deno.dlopen("libc.so.6", {});' },
    message: ['Requires ffi access to "libc.so.6"'],
  },
  imports_a_page: {
    file: { top: 'const place = "https:"; await import(place + "//esm.sh/ms");' },
    message: ['Requires import access to "esm.sh:443"'],
  },
  imports_a_page_statically: {
    file: { top: 'import "https://esm.sh/ms";' },
    message: ['Requires import access to "esm.sh:443"'],
  },
  imports_a_package: {
    file: { top: 'const kind = "npm:"; await import(kind + "left-pad@1.3.0");' },
    message: ["left-pad"],
  },
  opens_a_worker: {
    file: {
      needs: "new Worker(import.meta.url, " +
        '{ type: "module", deno: { permissions: { read: true } } } as WorkerOptions)',
    },
    message: ["escalate"],
  },
  ends_the_process: { file: { needs: "Deno.exit(0)" }, message: ["may not call Deno.exit"] },
  plays_the_trainer: {
    file: { needs: 'self.postMessage({ type: "end", stopped: false })' },
    message: ["may not call postMessage"],
  },
  never_loads: { file: { top: LOOP }, message: ['loading "modes/never_loads.ts"', ENDLESS] },
  waits_at_the_top: {
    file: { top: "await new Promise(() => {});" },
    message: ['loading "modes/waits_at_the_top.ts"', ENDLESS],
  },
  never_starts: { file: { init: LOOP }, message: [`"init" ${ENDLESS}`] },
  never_decides: {
    file: { decide: LOOP },
    message: [
      `"decide" ${ENDLESS}`,
      "after optimizer step 1, decision 1, dataset rows",
      "--resume",
    ],
    checkpoint: 1,
  },
  never_updates: {
    file: { after: LOOP },
    message: [`"onOptimizerStep" ${ENDLESS}`, "after optimizer step 2"],
    checkpoint: 1,
  },
  calls_itself_dpo: {
    file: modeFile("dpo", {}),
    message: ['calls itself "dpo": name and file must be equal'],
  },
  exports_nothing: { file: "export const mode = 1;\n", message: ["is no loss mode"] },
  is_not_typescript: { file: "export default { decide( };\n", message: ["Cannot load mode"] },
};

/** Runs one mode; where it turns bad late, its repaired version then goes on from the checkpoint. */
async function check(root: string, name: string, expected: Case): Promise<void> {
  const args = ["--config", `${name}.yaml`, "--output_dir", `runs/${name}`];
  const { code, stderr } = await trainTask(root, args);
  assertEquals(code, 2, `${name}: ${stderr}`);
  for (const part of [name, ...expected.message]) assertStringIncludes(stderr, part);
  const errors = stderr.split("\n").filter((line) => /^error/i.test(line));
  assertEquals(errors.length, 1, stderr);
  const found = await newestCheckpoint(`${root}/runs/${name}/checkpoints`, false);
  assertEquals(found?.state.step, expected.checkpoint, name);
  if (name !== "never_decides") return;
  Deno.writeTextFileSync(`${root}/modes/${name}.ts`, modeFile(name, {}));
  const resumed = await trainTask(root, [...args, "--resume"]);
  assertEquals(resumed.code, 0, resumed.stderr);
  assertStringIncludes(resumed.stdout, "Resuming after step 1");
  assertStringIncludes(resumed.stdout, "Finished 3 steps");
}

Deno.test({
  name: `modes that reach for files, network or programs, or never return, end the run ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withProject(async (root) => {
      for (const [name, { file }] of Object.entries(CASES)) {
        const text = typeof file === "string" ? file : modeFile(name, file);
        Deno.writeTextFileSync(`${root}/modes/${name}.ts`, text);
        Deno.writeTextFileSync(`${root}/${name}.yaml`, CONFIG(name));
      }
      const before = Deno.readTextFileSync(`${root}/modes/dpo.ts`);
      const rest = Object.entries(CASES);
      const failures: unknown[] = [];
      const worker = async () => {
        for (let next = rest.shift(); next; next = rest.shift()) {
          await check(root, ...next).catch((error) => failures.push(error));
        }
      };
      await Promise.all([worker(), worker(), worker()]);
      assertEquals(failures.map(String), []);
      // All of them lie beside the good modes, which go on working.
      Deno.writeTextFileSync(`${root}/good.yaml`, CONFIG("dpo"));
      const good = await trainTask(root, ["--config", "good.yaml", "--output_dir", "runs/good"]);
      assertEquals(good.code, 0, good.stderr);
      assert(Deno.readTextFileSync(`${root}/modes/dpo.ts`) === before);
    }),
});
