// Models and data by their names on the Hub, under the flags of the tasks, from a Hub on this machine.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { COMMIT, HubServer, LOCAL_SERVER_ALLOWED } from "../hub/hub_server.ts";
import { finish, type Finished, MAY_RUN, NEEDS, ROOT, withFolder } from "./program.ts";

const TOKEN = "hf_inNoFileOfTheRun";

/** A `deno task`, as a user types it. */
async function task(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Finished> {
  return await finish(
    new Deno.Command(Deno.execPath(), {
      args: ["task", "-q", ...args],
      cwd: ROOT,
      env: { NO_COLOR: "1", WANDB_MODE: "disabled", HF_TOKEN: TOKEN, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn(),
  );
}

function filesOf(folder: string): Record<string, Uint8Array> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
  return Object.fromEntries(names.map((name) => [name, Deno.readFileSync(`${folder}/${name}`)]));
}

/** The text of every file below a folder. */
function* textsBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* textsBelow(`${folder}/${name}`);
    else yield Deno.readTextFileSync(`${folder}/${name}`);
  }
}

Deno.test({
  name: `train and eval with names of the Hub: downloaded once, pinned, offline ${NEEDS}`,
  ignore: !MAY_RUN || !LOCAL_SERVER_ALLOWED,
  fn: () =>
    withFolder(async (folder) => {
      const hub = new HubServer("model", "someone/tiny");
      hub.files = filesOf(`${ROOT}/examples/model`);
      try {
        const set = (...pairs: string[]) => pairs.flatMap((pair) => ["--set", pair]);
        const config = [
          ...["--config", "config_dpo.yaml"],
          ...set("policy_name=someone/tiny", "ref_name=someone/tiny", "dataset.val_ratio=0.1"),
          ...set("dataset.subset=train[:64]", "dataset.validation_name=null", "max_steps=1"),
          ...set("samples.prompts=0", "eval_at_start=false"),
        ];
        const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: `${folder}/hf` };
        const run = `${folder}/run`;
        const trained = await task(["train", ...config, "--output_dir", run], env);
        assertEquals(trained.code, 0, trained.stdout + trained.stderr);
        assertStringIncludes(trained.stdout, "Downloading someone/tiny");
        assertEquals(JSON.parse(Deno.readTextFileSync(`${run}/hub.json`)), {
          "someone/tiny": COMMIT,
        });
        assertEquals(hub.paths("files").toSorted(), ["/model.safetensors", "/tokenizer.json"]);
        const shown = [
          trained.stdout,
          trained.stderr,
          ...textsBelow(run),
          ...textsBelow(env.HF_HOME),
        ];
        assertEquals(shown.some((text) => text.includes(TOKEN)), false);
        hub.requests.length = 0;
        const offline = { ...env, HF_HUB_OFFLINE: "1" };
        const evaluated = await task(["eval", ...config, "--json"], offline);
        assertEquals(evaluated.code, 0, evaluated.stderr);
        assertStringIncludes(JSON.parse(evaluated.stdout).model, `snapshots/${COMMIT}`);
        assertEquals(hub.requests.length, 0);
        const adapted = `${folder}/adapted`;
        const small = [...set("max_steps=1"), ...set("lora.r=4"), "--output_dir", adapted];
        const tuned = await task(["train", ...config, ...small], offline);
        assertEquals(tuned.code, 0, tuned.stderr);
        const named = JSON.parse(Deno.readTextFileSync(`${adapted}/final/adapter_config.json`));
        // Whoever is given the adapter has no such cache, but can ask the Hub.
        assertEquals(named.base_model_name_or_path, "someone/tiny");
        const typo = await task(["doctor", ...config, ...set("ref_name=someone/tyni")], env);
        assertEquals(typo.code, 1, typo.stderr);
        assertStringIncludes(typo.stdout, "Is it a typing mistake?");
      } finally {
        await hub.close();
      }
    }),
});

Deno.test({
  name: `doctor with a data set of the Hub reads its rows ${NEEDS}`,
  ignore: !MAY_RUN || !LOCAL_SERVER_ALLOWED,
  fn: () =>
    withFolder(async (folder) => {
      const hub = new HubServer("dataset", "someone/rows");
      const rows = Deno.readTextFileSync(`${ROOT}/examples/preferences.jsonl`).split("\n");
      hub.files = { "train.jsonl": new TextEncoder().encode(rows.slice(0, 24).join("\n")) };
      try {
        const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: `${folder}/hf` };
        const names = ["dataset_name=someone/rows", "validation_name=null", "val_ratio=0.25"];
        const set = names.flatMap((pair) => ["--set", `dataset.${pair}`]);
        const args = ["doctor", "--config", "config_dpo.yaml", ...set, "--json"];
        // A redirect is followed to where the Hub's files may lie, and nowhere else.
        const refused = await task(args, env);
        assertEquals(refused.code, 1);
        assertStringIncludes(refused.stdout, `Set HF_FILE_HOSTS=${hub.fileHost} if`);
        assertEquals(hub.paths("files"), []);
        const read = await task(args, { ...env, HF_FILE_HOSTS: hub.fileHost });
        assertEquals(read.code, 0, read.stdout + read.stderr);
        const { train, validation } = JSON.parse(read.stdout);
        assertEquals([train.report.rows, validation.report.rows], [18, 6]);
        assertEquals(hub.paths("files"), ["/train.jsonl"]);
      } finally {
        await hub.close();
      }
    }),
});
