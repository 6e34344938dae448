/** Each known set by a row with the columns of the published one; the texts are made up. */
import { assertEquals, assertRejects } from "@std/assert";
import { DataError } from "../../data/error.ts";
import { KNOWN_SETS, knownSetOf, splitAliases } from "../../data/known_sets.ts";
import { loadDataset, type LoadOptions } from "../../data/load.ts";
import { tinyTokenizer } from "./tiny_tokenizer.ts";
import docs from "../../docs/data.md" with { type: "text" };

const says = (role: string, content: string) => ({ content, role });
const whole = (answer: string) => [says("user", "Q?"), says("assistant", answer)];
/** What a question becomes without a chat template. */
const ASKED = "\n\nHuman: Q?\n\nAssistant:";

const SHP = {
  post_id: "a1",
  domain: "askbaking_train",
  upvote_ratio: 0.98,
  history: "Q?",
  c_root_id_A: "b1",
  c_root_id_B: "b2",
  created_at_utc_A: 1,
  created_at_utc_B: 2,
  score_A: 8,
  score_B: 2,
  human_ref_A: "yes",
  human_ref_B: "no",
  labels: 1,
  seconds_difference: 60,
  score_ratio: 4,
};
const SAFE = {
  prompt: "Q?",
  response_0: "yes",
  response_1: "no",
  prompt_source: "x",
  response_0_source: "y",
  response_1_source: "z",
  is_response_0_safe: false,
  is_response_1_safe: true,
  response_0_severity_level: 1,
  response_1_severity_level: 0,
  better_response_id: 0,
  safer_response_id: 1,
};
const ULTRAFEEDBACK = {
  prompt: "Q?",
  prompt_id: "f0",
  chosen: whole("yes"),
  rejected: whole("no"),
  messages: whole("yes"),
  score_chosen: 8.5,
  score_rejected: 7,
};
const ORCA_JUDGED = {
  system: "",
  input: "Q?",
  chosen: "yes",
  rejected: "no",
  generations: ["yes", "no"],
  order: ["x", "y"],
  labelling_model: "m",
  labelling_prompt: whole(""),
  raw_labelling_response: "",
  rating: [9, 7],
  rationale: "",
  status: "unchanged",
  original_chosen: "yes",
  original_rejected: "no",
  chosen_score: 9,
  in_gsm8k_train: false,
};

/** Name, row, and what is read: form, prompt, chosen, rejected. */
const READ: [string, Record<string, unknown>, string, string, string, string][] = [
  [
    "Anthropic/hh-rlhf",
    { chosen: `${ASKED} yes`, rejected: `${ASKED} no` },
    "hh",
    ASKED,
    " yes",
    " no",
  ],
  ["HuggingFaceH4/ultrafeedback_binarized", ULTRAFEEDBACK, "explicit", ASKED, " yes", " no"],
  [
    "trl-lib/ultrafeedback_binarized",
    { chosen: whole("yes"), rejected: whole("no"), score_chosen: 8, score_rejected: 2 },
    "implicit",
    ASKED,
    " yes",
    " no",
  ],
  ["stanfordnlp/SHP", SHP, "explicit", ASKED, " yes", " no"],
  ["stanfordnlp/SHP", { ...SHP, labels: 0 }, "explicit", ASKED, " no", " yes"],
  ["PKU-Alignment/PKU-SafeRLHF", SAFE, "explicit", ASKED, " yes", " no"],
  [
    "Intel/orca_dpo_pairs",
    { system: "Be brief.", question: "Q?", chosen: "yes", rejected: "no" },
    "explicit",
    `Be brief.${ASKED}`,
    " yes",
    " no",
  ],
  ["argilla/distilabel-intel-orca-dpo-pairs", ORCA_JUDGED, "explicit", ASKED, " yes", " no"],
  [
    "argilla/ultrafeedback-binarized-preferences",
    {
      source: "s",
      instruction: "Q?",
      chosen_response: "yes",
      rejected_response: "no",
      chosen_avg_rating: 5,
      rejected_avg_rating: 2,
      chosen_model: "m",
    },
    "explicit",
    ASKED,
    " yes",
    " no",
  ],
  [
    "argilla/ultrafeedback-binarized-preferences-cleaned",
    {
      source: "s",
      prompt: "Q?",
      chosen: whole("yes"),
      "chosen-rating": 5,
      "chosen-model": "m",
      rejected: whole("no"),
      "rejected-rating": 2,
      "rejected-model": "n",
    },
    "explicit",
    ASKED,
    " yes",
    " no",
  ],
  [
    "argilla/dpo-mix-7k",
    {
      dataset: "d",
      chosen: whole("yes"),
      chosen_rating: 5,
      rejected: whole("no"),
      rejected_rating: 1,
    },
    "implicit",
    ASKED,
    " yes",
    " no",
  ],
];

const tokenizer = tinyTokenizer();
function load(
  name: string,
  rows: readonly Record<string, unknown>[],
  options: Partial<LoadOptions> = {},
) {
  const text = rows.map((row) => JSON.stringify(row)).join("\n");
  const source = { name: "rows.jsonl", text };
  return loadDataset({ source, knownAs: name, use: "pairs", seed: 1, tokenizer, ...options });
}

for (const [name, row, form, prompt, chosen, rejected] of READ) {
  Deno.test(`${name} is read with its own columns, by id, cache folder and path`, async () => {
    const cached = `/x/datasets--${name.replace("/", "--")}/snapshots/0`;
    for (const known of [name, cached, `./data/${name}/train.jsonl`]) {
      const { train, report } = await load(known, [row]);
      assertEquals(report.train.form, form);
      assertEquals(train.text(0), { row: 0, prompt, answers: [chosen, rejected] });
    }
  });
}

Deno.test("every known set has a row here", () => {
  const tested = new Set(READ.map(([name, row]) => knownSetOf(name, row)));
  assertEquals(KNOWN_SETS.filter((set) => !tested.has(set)), []);
});

Deno.test("docs/data.md names every known set", () => {
  const ids = KNOWN_SETS.flatMap((set) => set.ids).filter((id) => !id.endsWith("*"));
  assertEquals(ids.filter((id) => !docs.includes(`\`${id}\``)), []);
});

Deno.test("a known name with other columns is read by its rows, and so are known columns elsewhere", async () => {
  const own = await load("Intel/orca_dpo_pairs", [{ prompt: "Q?", chosen: "a", rejected: "b" }]);
  assertEquals(own.train.text(0).prompt, "Q?");
  await assertRejects(() => load("my/shp", [{ history: "Q?" }]), DataError, "no known form");
  assertEquals(
    knownSetOf("data/orca.jsonl", { system: "", question: "", chosen: "", rejected: "" }),
    undefined,
  );
});

Deno.test("PKU-SafeRLHF: the judgement on safety chooses where that is asked for", async () => {
  const { train } = await load("PKU-Alignment/PKU-SafeRLHF", [SAFE], {
    reading: { preference: "safer" },
  });
  assertEquals(train.text(0).answers, [" no", " yes"]);
  const { report } = await load("PKU-SafeRLHF", [SAFE, { ...SAFE, better_response_id: -1 }]);
  assertEquals({ ...report.train.dropped }, { '"better_response_id" is not 0 or 1': 1 });
});

Deno.test("SHP: pairs with close scores are dropped, by 2 or the ratio asked for", async () => {
  const rows = [4, 2, 1.5, null].map((score_ratio) => ({ ...SHP, score_ratio }));
  const usual = await load("stanfordnlp/SHP", rows);
  assertEquals({ ...usual.report.train.dropped }, { '"score_ratio" is below 2': 2 });
  const lower = await load("stanfordnlp/SHP", rows, { reading: { minScoreRatio: 1 } });
  assertEquals(lower.report.train.kept, 3);
});

Deno.test("pairs that were judged even are dropped from Intel's set as argilla judged it", async () => {
  const rows = [ORCA_JUDGED, { ...ORCA_JUDGED, status: "tie" }];
  const { report } = await load("argilla/distilabel-intel-orca-dpo-pairs", rows);
  assertEquals({ ...report.train.dropped }, { '"status" is tie': 1 });
});

Deno.test("splitAliases() gives a set's own names for splits", () => {
  const own = { train: "train_prefs", test: "test_prefs" };
  assertEquals(splitAliases("HuggingFaceH4/ultrafeedback_binarized"), own);
  assertEquals(splitAliases("data/rows.jsonl"), {});
});
