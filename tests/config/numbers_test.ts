import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { messageOf, MINIMAL, parseWith } from "./minimal.ts";
import { parseConfig } from "../../trainer/config.ts";
import schema from "../../configs/config.schema.json" with { type: "json" };

const TRAINING = [
  "epochs",
  "batch_size",
  "eval_batch_size",
  "learning_rate",
  "log_steps",
  "eval_steps",
  "save_steps",
  "gradient_accumulation",
  "max_grad_norm",
  "warmup_steps",
];

/** Every key that takes a number: its section, and one good value. */
const NUMERIC: readonly (readonly [string, number])[] = [
  ...TRAINING.flatMap((key) => [
    [`dpo_training.${key}`, 3] as const,
    [`sft_training.${key}`, 3] as const,
  ]),
  ["sft_training.max_length", 64],
  ["dataset.val_ratio", 0.2],
  ["dataset.seed", 7],
  ["dataset.max_len", 64],
  ["dataset.max_length", 64],
  ["dataset.max_prompt_length", 32],
  ["dataset.max_completion_length", 32],
  ["dataset.min_score_ratio", 3],
  ["risk_test.delta", 0.2],
  ["risk_test.lambda", 0.5],
  ["risk_test.beta_warmup", 0],
  ["beta_update.beta_0", 0.2],
  ["beta_update.gamma", 1],
  ["beta_update.alpha", 0],
  ["beta_update.beta_max", 3],
  ["beta_update.beta_min", 0],
  ["margin_log.jsonl_sample_size", 0],
  ["beta_dpo.bdpo_m", 0.5],
  ["beta_dpo.m", 1],
  ["beta_dpo.rho", 1],
  ["beta_dpo.alpha", 0.6],
  ["beta_dpo.min_beta", 1e-4],
  ["beta_dpo.max_beta", 0],
  ["beta_dpo.eps", 1e-9],
  ["beta_dpo.beta_0", 0.3],
  ["optimizer.beta1", 0],
  ["optimizer.beta2", 0.99],
  ["optimizer.eps", 1e-6],
  ["optimizer.weight_decay", 0.1],
  ["optimizer.alpha", 0.9],
  ["lora.r", 8],
  ["lora.lora_alpha", 16],
  ["lora.lora_dropout", 0],
  ["samples.prompts", 0],
  ["samples.max_new_tokens", 8],
  ["label_smoothing", 0.1],
  ["f_alpha_divergence_coef", 0.7],
  ["discopop_tau", 0.1],
  ["ld_alpha", 0.5],
  ["early_stopping_patience", 2],
  ["early_stopping_threshold", 0.01],
  ["ref_model_mixup_alpha", 1],
  ["ref_model_sync_steps", 5],
  ["loss_weights", 2],
  ["max_steps", 5],
  ["seed", 0],
  ["save_total_limit", 1],
  ["mode_time_limit", 0.5],
  ["max_shard_size", 5e9],
  ["memory_budget", 2 ** 30],
];

/** The smallest config with one more key in it, and that key's line. */
function withKey(path: string, value: string): { text: string; line: number } {
  const [section, key] = path.includes(".") ? path.split(".") : ["", path];
  if (section === "dataset") return { text: `${MINIMAL}  ${key}: ${value}\n`, line: 4 };
  if (section === "") return { text: `${MINIMAL}${key}: ${value}\n`, line: 4 };
  return { text: `${MINIMAL}${section}:\n  ${key}: ${value}\n`, line: 5 };
}

Deno.test("every numeric key of the schema is in this list", () => {
  const found: string[] = [];
  const visit = (node: Record<string, unknown>, path: string) => {
    const types = [node.type, ...((node.anyOf ?? []) as { type?: unknown }[]).map((n) => n.type)];
    if (types.flat().some((type) => type === "number" || type === "integer")) found.push(path);
    for (const [key, child] of Object.entries(node.properties ?? {})) {
      visit(child as Record<string, unknown>, path === "" ? key : `${path}.${key}`);
    }
  };
  visit(schema, "");
  assertEquals(found.toSorted(), NUMERIC.map(([path]) => path).toSorted());
});

const BAD = ['"0.1"', "true", ".nan", ".inf", "-.inf", "{}", "1e309", "-1", "", "2024-01-01"];

for (const [path, good] of NUMERIC) {
  Deno.test(`${path} takes ${good} and refuses what is not a number in its range`, () => {
    const { text } = withKey(path, String(good));
    const { config } = parseConfig(text, { file: "x.yaml" });
    let value: unknown = config;
    for (const part of path.split(".")) value = (value as Record<string, unknown>)[part];
    assertEquals(value, good);

    // Some keys say something with a null: no bound, keep all, no weighting.
    const mayBeNull =
      /max_(prompt|completion)_length|min_score_ratio|max_steps|^seed|save_total_limit|ld_alpha|patience/
        .test(path);
    const bad = [...BAD, ...(path === "loss_weights" ? ["[]", "[x]"] : ["[1]"])];
    for (const wrong of bad) {
      if (wrong === "" && (mayBeNull || path === "loss_weights")) continue;
      const { text, line } = withKey(path, wrong);
      const message = messageOf(() => parseConfig(text, { file: "x.yaml" }));
      assertStringIncludes(message, `"x.yaml", line ${line}, key "${path}`, `for ${wrong}`);
      assertMatch(message, /expected (a (whole )?number|bytes)/, `for ${wrong}`);
    }
  });
}

Deno.test("numbers in any YAML spelling are numbers", () => {
  const rates = ["5e-7", "5.0E-7", "0.0000005", "+5e-07"].map((rate) =>
    parseWith(`dpo_training:\n  learning_rate: ${rate}\n`).config.dpo_training!.learning_rate
  );
  assertEquals(rates, [5e-7, 5e-7, 5e-7, 5e-7]);
});

Deno.test("bounds are where the descriptions say", () => {
  const refused = (path: string, value: string) =>
    assertStringIncludes(
      messageOf(() => parseConfig(withKey(path, value).text, { file: "x.yaml" })),
      path,
    );
  refused("risk_test.delta", "0");
  refused("risk_test.delta", "1");
  refused("dataset.val_ratio", "1");
  refused("dpo_training.learning_rate", "0");
  refused("dpo_training.learning_rate", "1e-400");
  refused("dpo_training.batch_size", "0");
  refused("dpo_training.batch_size", "1.5");
  refused("dataset.seed", "4294967296");
  refused("max_steps", "9007199254740993");
  refused("label_smoothing", "0.5");
  refused("optimizer.beta1", "1");
  refused("beta_dpo.rho", "0");
  refused("memory_budget", "16777215");
  assertEquals(
    parseWith("dpo_training: {learning_rate: 1e30}").config.dpo_training!.learning_rate,
    1e30,
  );
});

Deno.test("sizes of memory", () => {
  const bytes = (size: string) => parseWith(`memory_budget: ${size}\n`).config.memory_budget;
  assertEquals(
    ["2GB", "2GiB", "1.5 gib", "500MB", "20000000"].map(bytes),
    [2e9, 2 ** 31, 1.5 * 2 ** 30, 5e8, 2e7],
  );
  assertEquals(parseWith().config.memory_budget, 2 ** 31);
  for (const wrong of ["2TB", "GB", "-1GB", "1e3GB", "0x10GB"]) {
    assertStringIncludes(messageOf(() => bytes(wrong)), "expected bytes or a size");
  }
});
