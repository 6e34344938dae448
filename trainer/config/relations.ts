/**
 * What must hold between keys. It reads the tree as written, so that a relation is reported together
 * with everything else that is wrong; values of the wrong kind are the schema's business.
 */
import type { Problem } from "./explain.ts";
import { isMapping, type Mapping, sectionOf } from "./read_yaml.ts";

/** Findings: `problems` stop the run, `notices` are printed once. */
export interface Findings {
  readonly problems: Problem[];
  readonly notices: string[];
}

/** Defaults of the modes' tables that relations need when only one side is written. */
const BETA_MIN = 1e-3;
const BETA_MAX = 2;
const BETA_0 = 0.1;

function numberAt(tree: Mapping, section: string, key: string): number | undefined {
  const value = sectionOf(tree, section)?.[key];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** Checks all relations of a config for the selected mode. */
export function checkRelations(tree: Mapping, mode: string): Findings {
  const findings: Findings = { problems: [], notices: [] };
  checkBetas(tree, mode, findings);
  checkSources(tree, findings.problems);
  checkLengths(tree, mode, findings.notices);
  checkLosses(tree, findings.problems);
  checkUploads(tree, mode, findings.notices);
  checkLora(tree, findings.problems);
  return findings;
}

/** Keys of `dataset` that each set of a mix has for itself. */
const OWN_KEYS = [
  "dataset_name",
  "subset",
  "split",
  "dataset_config",
  "columns",
  "preference",
  "min_score_ratio",
  "validation_split",
];

/** Rows come from one dataset or from a mix, and a split has one name. */
function checkSources(tree: Mapping, problems: Problem[]): void {
  const dataset = sectionOf(tree, "dataset");
  if (!dataset) return;
  const written = (key: string) => dataset[key] !== undefined && dataset[key] !== null;
  const mix = Array.isArray(dataset.mix) ? dataset.mix : undefined;
  if (!mix && !written("dataset_name")) {
    const text = `expected a file, a folder, a pattern or a dataset's name, but it is missing; ` +
      `several sets go under "mix"`;
    problems.push({ path: ["dataset", "dataset_name"], text });
  }
  // Its default stands in configs as they were used.
  const own = (key: string) => written(key) && !(key === "subset" && dataset.subset === "train");
  for (const key of mix ? OWN_KEYS.filter(own) : []) {
    problems.push({ path: ["dataset", key], text: `belongs to each set of "mix", not beside it` });
  }
  if (written("validation_split") && written("validation_name")) {
    const text = `"validation_name" names held-out rows as well, keep one of them`;
    problems.push({ path: ["dataset", "validation_split"], text });
  }
  checkSplit(dataset, ["dataset"], problems);
  mix?.forEach((set, i) => {
    if (isMapping(set)) checkSplit(set, ["dataset", "mix", String(i)], problems);
  });
}

function checkSplit({ split, subset }: Mapping, path: string[], problems: Problem[]): void {
  if (typeof split !== "string" || typeof subset !== "string") return;
  const named = /^\s*([\w.-]+)/.exec(subset)?.[1] ?? "train";
  if (named === "train" || named === split) return;
  const text = `is "${split}", but "subset" takes rows of "${named}"; name one split`;
  problems.push({ path: [...path, "split"], text });
}

function checkBetas(tree: Mapping, mode: string, { problems, notices }: Findings): void {
  const low = numberAt(tree, "beta_update", "beta_min");
  const high = numberAt(tree, "beta_update", "beta_max");
  if ((low ?? BETA_MIN) > (high ?? BETA_MAX)) {
    const path = ["beta_update", low === undefined ? "beta_max" : "beta_min"];
    const text = `"beta_min" (${low ?? `${BETA_MIN} by default`}) is above "beta_max" ` +
      `(${high ?? `${BETA_MAX} by default`})`;
    problems.push({ path, text });
  } else if (mode === "risk" && sectionOf(tree, "beta_update")) {
    const start = numberAt(tree, "beta_update", "beta_0") ?? BETA_0;
    if (start < (low ?? BETA_MIN) || start > (high ?? BETA_MAX)) {
      notices.push(
        `"beta_update.beta_0" (${start}) lies outside "beta_min" to "beta_max"; the first update of ` +
          "beta moves it inside",
      );
    }
  }
  const first = numberAt(tree, "beta_dpo", "bdpo_m");
  const second = numberAt(tree, "beta_dpo", "m");
  if (first !== undefined && second !== undefined && first !== second) {
    const text = `"bdpo_m" is ${first} but "m" is ${second}; they are one option, keep one of them`;
    problems.push({ path: ["beta_dpo", "m"], text });
  }
  const floor = numberAt(tree, "beta_dpo", "min_beta");
  const base = numberAt(tree, "beta_dpo", "beta_0") ??
    numberAt(tree, "beta_update", "beta_0") ?? BETA_0;
  if (mode === "beta_dpo" && floor !== undefined && floor > base) {
    notices.push(`"beta_dpo.min_beta" (${floor}) is above "beta_0" (${base}): beta rarely moves`);
  }
}

function checkLengths(tree: Mapping, mode: string, notices: string[]): void {
  const older = numberAt(tree, "dataset", "max_len");
  const newer = numberAt(tree, "dataset", "max_length");
  if (older !== undefined && newer !== undefined && older !== newer) {
    notices.push(`"dataset.max_length" (${newer}) holds, not "dataset.max_len" (${older})`);
  }
  const own = mode === "sft" ? numberAt(tree, "sft_training", "max_length") : undefined;
  const whole = own ?? newer ?? older ?? 1024;
  const prompt = numberAt(tree, "dataset", "max_prompt_length") ?? 0;
  const completion = numberAt(tree, "dataset", "max_completion_length") ?? 0;
  if (prompt + completion > whole) {
    notices.push(
      `A prompt of "max_prompt_length" and a completion of "max_completion_length" ` +
        `(${prompt} + ${completion} tokens) exceed ${whole}, the longest sequence; ` +
        `"truncation_mode" cuts the rest`,
    );
  }
}

function checkLora(tree: Mapping, problems: Problem[]): void {
  if (!sectionOf(tree, "lora")) return;
  const refuse = (key: string, text: string) => problems.push({ path: [key], text });
  if (tree.storage_dtype === "float16") {
    refuse("storage_dtype", 'adapters ("lora") are trained with "float32"');
  }
  if (tree.sync_ref_model === true) {
    refuse("sync_ref_model", 'with adapters ("lora") the reference is the model without them');
  }
  if (tree.init === "random") {
    refuse("init", 'adapters ("lora") need the weights of a trained model, not random ones');
  }
}

function checkLosses(tree: Mapping, problems: Problem[]): void {
  if (tree.loss_weights === undefined) return;
  const names = [tree.loss_type ?? "sigmoid"].flat();
  const weights = [tree.loss_weights].flat();
  const path = ["loss_weights"];
  if (names.length !== weights.length) {
    const text = `expected one weight for each loss_type (${names.length}), got ${weights.length}`;
    problems.push({ path, text });
  } else if (weights.every((weight) => weight === 0)) {
    problems.push({ path, text: "expected at least one weight above 0" });
  }
}

function checkUploads(tree: Mapping, mode: string, notices: string[]): void {
  const section = mode === "sft" ? "sft_training" : "dpo_training";
  const training = sectionOf(tree, section);
  const uploads = mode === "sft" ? training?.push_to_hub === true : Boolean(training?.hub_model_id);
  if (uploads) {
    notices.push(
      `"${section}.${mode === "sft" ? "push_to_hub" : "hub_model_id"}": nothing is uploaded; the ` +
        `model is in "final" of the output folder`,
    );
  }
}
