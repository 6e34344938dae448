import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { findConfig, findInput, type Look } from "../../commands/find_config.ts";
import { schemaText } from "../../commands/schema.ts";
import { parseConfig, trainingSettings } from "../../trainer/config.ts";
import { ConfigError } from "../../trainer/error.ts";
import dpoConfig from "../../configs/config_dpo.yaml" with { type: "text" };
import betaConfig from "../../configs/config_dpo_beta.yaml" with { type: "text" };
import sftConfig from "../../configs/config_sft.yaml" with { type: "text" };
import writtenSchema from "../../configs/config.schema.json" with { type: "json" };

Deno.test("configs/config.schema.json is current (deno task schema writes it)", () => {
  assertEquals(JSON.stringify(writtenSchema, null, 2) + "\n", schemaText());
});

Deno.test("every key of the schema is described", () => {
  let keys = 0;
  const visit = (node: Record<string, unknown>, path: string) => {
    for (const [key, child] of Object.entries(node.properties ?? {})) {
      keys++;
      assert(child.description, `${path}${key} has no description`);
      visit(child, `${path}${key}.`);
    }
  };
  visit(writtenSchema, "");
  assert(keys > 100, `${keys}`);
});

const OURS = [
  ["config_dpo_beta.yaml", betaConfig, "beta_dpo", "examples/preferences.jsonl"],
  ["config_dpo.yaml", dpoConfig, "risk", "examples/preferences.jsonl"],
  ["config_sft.yaml", sftConfig, "sft", "examples/sft.jsonl"],
] as const;
for (const [file, text, mode, rows] of OURS) {
  Deno.test(`${file} is read without a remark, and every key has its comment`, () => {
    const { config, mode: selected, notices } = parseConfig(text, { file });
    assertEquals(selected, mode);
    assertEquals(notices, []);
    assertEquals([config.policy_name, config.dataset.dataset_name], ["examples/model", rows]);
    assertEquals(text.split("\n")[0], "# yaml-language-server: $schema=./config.schema.json");
    // A comment stands above each key, or above the run of keys it speaks for.
    const lines = text.split("\n");
    const runs = lines.filter((line, i) => /^\s*\w+:/.test(line) && /^\s*#/.test(lines[i - 1]));
    assert(runs.length >= 15, `${runs.length} comments`);
  });
}

Deno.test("the risk warm-up ends well before the run does", () => {
  const { config } = parseConfig(dpoConfig, { file: "config_dpo.yaml" });
  const settings = trainingSettings(config, "risk");
  const calls = settings.maxSteps! * settings.gradientAccumulation;
  assert(config.risk_test!.beta_warmup! * 2 <= calls);
});

const shared = new URL("../../../shared/configs/", import.meta.url);
const canRead = (await Deno.permissions.query({ name: "read" })).state === "granted";
const hasShared = canRead && await Deno.stat(shared).then(() => true, () => false);
const THEIRS = [
  ["user_config_beta_dpo.yaml", "beta_dpo", 4],
  ["user_config_dpo.yaml", "risk", 1],
  ["user_config_dpo_beta.yaml", "beta_dpo", 1],
  ["user_config_dpo_v1.yaml", "risk", 0],
] as const;
for (const [file, mode, notices] of THEIRS) {
  Deno.test({
    name: `${file} is read as it is (needs --allow-read and ../shared)`,
    ignore: !hasShared,
    fn: async () => {
      const text = await Deno.readTextFile(new URL(file, shared));
      const parsed = parseConfig(text, { file });
      assertEquals(parsed.mode, mode);
      assertEquals(parsed.notices.length, notices, parsed.notices.join("\n"));
      const settings = trainingSettings(parsed.config, mode);
      assertEquals([settings.learningRate, settings.gradientAccumulation], [5e-7, 4]);
      assertEquals(settings.maxGradNorm, 10);
      assertEquals(parseConfig(parsed.text, { file }).config, parsed.config);
    },
  });
}

/** A disk with these files; a folder is named with a slash at its end. */
function disk(...names: string[]): Look {
  const root = new URL("../../", import.meta.url).href;
  return (path) => {
    const name = path instanceof URL ? path.href.replace(root, "ROOT/") : path;
    if (names.includes(name)) return Promise.resolve("file");
    return Promise.resolve(names.includes(name + "/") ? "folder" : undefined);
  };
}

Deno.test("--config is looked up as given, then under configs/", async () => {
  const inProject = (path: string) => new URL(`../../configs/${path}`, import.meta.url).href;
  assertEquals(await findConfig("a.yaml", disk("a.yaml", "ROOT/configs/a.yaml")), "a.yaml");
  const found = await findConfig("a.yaml", disk("ROOT/configs/a.yaml", "a.yaml/"));
  assertEquals(String(found), inProject("a.yaml"));
  const odd = await findConfig("my %20 #1?.yaml", disk("ROOT/configs/my%20%2520%20%231%3F.yaml"));
  assertEquals(decodeURIComponent(String(odd).split("/").at(-1)!), "my %20 #1?.yaml");
  for (const name of ["b.yaml", "/a.yaml", "", "a\0"]) {
    const error = await assertRejects(
      () => findConfig(name, disk("ROOT/configs/a.yaml")),
      ConfigError,
    );
    assertStringIncludes(error.message, `Cannot find config ${JSON.stringify(name)}`);
  }
});

Deno.test("models and data are looked up as given, then in the project", async () => {
  assertEquals(await findInput("examples/model", disk("examples/model/")), "examples/model");
  const found = await findInput("examples/model", disk("ROOT/examples/model/"));
  assertEquals(String(found), new URL("../../examples/model", import.meta.url).href);
  assertEquals(await findInput("owner/name", disk()), undefined);
});
