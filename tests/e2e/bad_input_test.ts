// Bad input ends with one message that names file and place, the right code, and nothing written over.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { MAY_RUN, NEEDS, program, ROOT, withFolder } from "./program.ts";

const GOOD = `policy_name: model
mode: dpo
dataset: { dataset_name: pairs.jsonl }
dpo_training: { batch_size: 2, learning_rate: 1e-4 }
max_steps: 1
`;
const PAIR = JSON.stringify({ prompt: "Hello", chosen: " there", rejected: " you" }) + "\n";

/** A folder with a good config, model and data, spoilt by `spoil`. */
function spoilt(
  spoil: (folder: string) => void | Promise<void>,
  expected: { code: number; message: readonly string[]; args?: readonly string[] },
): () => Promise<void> {
  return () =>
    withFolder(async (folder) => {
      Deno.writeTextFileSync(`${folder}/good.yaml`, GOOD);
      Deno.writeTextFileSync(`${folder}/pairs.jsonl`, PAIR.repeat(4));
      Deno.mkdirSync(`${folder}/model`);
      for (const { name } of Deno.readDirSync(`${ROOT}/examples/model`)) {
        Deno.copyFileSync(`${ROOT}/examples/model/${name}`, `${folder}/model/${name}`);
      }
      await spoil(folder);
      const args = ["train", "--config", "good.yaml", "--output_dir", "out"];
      const { code, stderr } = await program(expected.args ?? args, { cwd: folder });
      assertEquals(code, expected.code, stderr);
      for (const part of expected.message) assertStringIncludes(stderr, part);
      const lines = stderr.split("\n").filter((line) => line.startsWith("Error"));
      assertEquals(lines.length, 1, stderr);
    });
}

function edit(file: string, change: (text: string) => string): (folder: string) => void {
  return (folder) =>
    Deno.writeTextFileSync(`${folder}/${file}`, change(Deno.readTextFileSync(`${folder}/${file}`)));
}

const CASES: Record<string, () => Promise<void>> = {
  "malformed YAML": spoilt(edit("good.yaml", (t) => t + "dataset: [\n"), {
    code: 2,
    message: ["good.yaml", "line"],
  }),
  "an unknown key": spoilt(edit("good.yaml", (t) => t.replace("learning_rate", "learnig_rate")), {
    code: 2,
    message: ["good.yaml", "line 4", '"learning_rate"'],
  }),
  "malformed JSON lines": spoilt(edit("pairs.jsonl", (t) => t + '{"prompt": \n'), {
    code: 2,
    message: ["pairs.jsonl:5"],
  }),
  "a missing data file": spoilt((f) => Deno.removeSync(`${f}/pairs.jsonl`), {
    code: 2,
    message: ["good.yaml", "line 3", "pairs.jsonl"],
  }),
  "a missing model": spoilt((f) => Deno.removeSync(`${f}/model`, { recursive: true }), {
    code: 2,
    message: ["policy_name", '"model"'],
  }),
  "malformed weights": spoilt((f) => Deno.truncateSync(`${f}/model/model.safetensors`, 5000), {
    code: 2,
    message: ["model.safetensors"],
  }),
  "malformed tokenizer.json": spoilt(edit("model/tokenizer.json", (t) => t.slice(0, -9)), {
    code: 2,
    message: ["tokenizer.json"],
  }),
  "an unsupported field of config.json": spoilt(
    edit("model/config.json", (t) => t.replace('"silu"', '"relu"')),
    { code: 2, message: ["config.json", "hidden_act"] },
  ),
  "NaN in the weights": spoilt(poison, { code: 2, message: ["model.safetensors", "NaN"] }),
  "a model too large for the memory budget": spoilt(
    (folder) => {
      edit(
        "model/config.json",
        (t) => t.replace(/"num_hidden_layers": \d+/, '"num_hidden_layers": 64'),
      )(
        folder,
      );
      edit("good.yaml", (t) =>
        t.replace("dpo\n", "sft\n").replace("dpo_", "sft_") +
        "init: random\nmemory_budget: 16MiB\n")(folder);
    },
    { code: 3, message: ["memory_budget", "16777216"] },
  ),
  "an output folder that is not empty": spoilt(
    (f) => {
      Deno.mkdirSync(`${f}/out`);
      Deno.writeTextFileSync(`${f}/out/thesis.txt`, "mine");
    },
    { code: 2, message: ["out", "not empty", "--resume"] },
  ),
  "an unknown mode": spoilt(edit("good.yaml", (t) => t.replace("dpo\n", "rsik\n")), {
    code: 2,
    message: ["rsik", "risk"],
  }),
  "an unknown argument": spoilt(() => {}, {
    code: 2,
    message: ["--confg"],
    args: ["train", "--confg", "good.yaml"],
  }),
};

/** Puts a NaN into the last value of the weights, whatever their type is. */
function poison(folder: string): void {
  const path = `${folder}/model/model.safetensors`;
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length - 1] = 0x7f;
  bytes[bytes.length - 2] = 0xff;
  Deno.writeFileSync(path, bytes);
}

for (const [name, fn] of Object.entries(CASES)) {
  Deno.test({ name: `train refuses ${name} ${NEEDS}`, ignore: !MAY_RUN, fn });
}
