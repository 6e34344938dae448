/**
 * Datasets that many use and whose columns are not those that this program reads. They are known by name,
 * as a Hub id, a folder or a part of a path, and only where their columns are there as well; the facts are
 * from the datasets' own cards.
 */
import { withSystem } from "./columns.ts";
import type { DataForm } from "./formats.ts";
import type { Row } from "./row_dataset.ts";
import { Unusable } from "./row_text.ts";

/** What a reading may be told by the config. */
export interface ReadingOptions {
  /** PKU-SafeRLHF: which of its two judgements says what is chosen. Default `better`. */
  readonly preference?: "better" | "safer";
  /** SHP: pairs whose scores are closer than this are dropped. Default 2. */
  readonly minScoreRatio?: number;
}

/** How the rows of a known set are read. */
export interface KnownSet {
  /** `owner/name`; `owner/*` is every set of an owner. */
  readonly ids: readonly string[];
  /** Columns it is known by. */
  readonly columns: readonly string[];
  readonly form: DataForm;
  /** Its own names for usual splits. */
  readonly splits?: Readonly<Record<string, string>>;
  /** A row in that form; throws Unusable with the reason why it is dropped. Absent: it is already. */
  readonly read?: (row: Row, options: ReadingOptions) => Row;
}

const MIN_SCORE_RATIO = 2;

/** The first whose name and columns fit is taken. */
export const KNOWN_SETS: readonly KnownSet[] = [
  { ids: ["Anthropic/hh-rlhf"], columns: ["chosen", "rejected"], form: "hh" },
  {
    ids: ["HuggingFaceH4/ultrafeedback_binarized"],
    columns: ["prompt", "chosen", "rejected", "messages", "score_chosen", "score_rejected"],
    form: "explicit",
    splits: { train: "train_prefs", test: "test_prefs" },
  },
  {
    ids: ["trl-lib/ultrafeedback_binarized"],
    columns: ["chosen", "rejected", "score_chosen", "score_rejected"],
    form: "implicit",
  },
  {
    ids: ["stanfordnlp/SHP"],
    columns: ["history", "human_ref_A", "human_ref_B", "labels", "score_ratio"],
    form: "explicit",
    read: readShp,
  },
  {
    ids: ["PKU-Alignment/PKU-SafeRLHF", "PKU-Alignment/PKU-SafeRLHF-30K"],
    columns: ["prompt", "response_0", "response_1", "better_response_id", "safer_response_id"],
    form: "explicit",
    read: readSafeRlhf,
  },
  {
    ids: ["Intel/orca_dpo_pairs"],
    columns: ["system", "question", "chosen", "rejected"],
    form: "explicit",
    read: (row) => explicit(withSystem(row.system, row.question), row.chosen, row.rejected),
  },
  {
    ids: ["argilla/*", "argilla/distilabel-intel-orca-dpo-pairs"],
    columns: ["system", "input", "chosen", "rejected", "status"],
    form: "explicit",
    read: readDistilabelOrca,
  },
  {
    ids: [
      "argilla/*",
      "argilla/ultrafeedback-binarized-preferences",
      "argilla/distilabel-math-preference-dpo",
    ],
    columns: ["instruction", "chosen_response", "rejected_response"],
    form: "explicit",
    read: (row) => explicit(user(row.instruction), row.chosen_response, row.rejected_response),
  },
  {
    ids: ["argilla/*", "argilla/ultrafeedback-binarized-preferences-cleaned"],
    columns: ["prompt", "chosen", "rejected"],
    form: "explicit",
  },
  { ids: ["argilla/*", "argilla/dpo-mix-7k"], columns: ["chosen", "rejected"], form: "implicit" },
];

/**
 * The known set that a dataset is; undefined where it is none.
 *
 * @param name its Hub id or path.
 * @param row one of its rows.
 */
export function knownSetOf(name: string, row: Row): KnownSet | undefined {
  return namedSets(name).find(({ columns }) =>
    columns.every((column) => Object.hasOwn(row, column))
  );
}

/** The own names for usual splits of the sets that a name may mean. */
export function splitAliases(name: string): Readonly<Record<string, string>> {
  return Object.assign({}, ...namedSets(name).map(({ splits }) => splits));
}

/** Sets by name: `owner/name` anywhere in a path, a Hub cache's folder, or the name alone. */
function namedSets(name: string): KnownSet[] {
  const parts = name.replaceAll("\\", "/").split("/").map((part) => part.toLowerCase());
  const owned = parts.flatMap((part, i) => {
    const cached = /^datasets--(.+?)--(.+)$/.exec(part);
    return [
      ...i > 0 ? [`${parts[i - 1]}/${part}`] : [],
      ...cached ? [`${cached[1]}/${cached[2]}`] : [],
    ];
  });
  return KNOWN_SETS.filter(({ ids }) =>
    ids.some((id) => {
      const [owner, own] = id.toLowerCase().split("/");
      if (own === "*") return owned.some((each) => each.startsWith(`${owner}/`));
      return owned.includes(`${owner}/${own}`) || parts.some((part) => part.split(".")[0] === own);
    })
  );
}

function user(content: unknown): unknown {
  return withSystem(undefined, content);
}

function explicit(prompt: unknown, chosen: unknown, rejected: unknown): Row {
  return { prompt, chosen, rejected };
}

/** Reddit's answers in pairs: `labels` is 1 where A has the higher score. */
function readShp(row: Row, { minScoreRatio = MIN_SCORE_RATIO }: ReadingOptions): Row {
  const { labels, score_ratio: ratio } = row;
  if (typeof ratio !== "number" || !(ratio >= minScoreRatio)) {
    throw new Unusable(`"score_ratio" is below ${minScoreRatio}`);
  }
  const [a, b] = [row.human_ref_A, row.human_ref_B];
  const first = isFirst("labels", labels, 1);
  return explicit(user(row.history), first ? a : b, first ? b : a);
}

/** Two responses, judged twice: by how much they help, and by how safe they are. */
function readSafeRlhf(row: Row, { preference = "better" }: ReadingOptions): Row {
  const key = `${preference}_response_id`;
  const answers = [row.response_0, row.response_1];
  const first = isFirst(key, row[key], 0);
  return explicit(user(row.prompt), answers[first ? 0 : 1], answers[first ? 1 : 0]);
}

/** Pairs of Intel's set, judged again; `status` says which are even. */
function readDistilabelOrca(row: Row): Row {
  if (row.status === "tie") throw new Unusable(`"status" is tie`);
  return explicit(withSystem(row.system, row.input), row.chosen, row.rejected);
}

/** Whether a 0 or 1 is the one that means the first answer. */
function isFirst(key: string, value: unknown, first: 0 | 1): boolean {
  if (value !== 0 && value !== 1) throw new Unusable(`"${key}" is not 0 or 1`);
  return value === first;
}
