/**
 * How byte-level tokenizers split a text before BPE, under the names that GGUF files give these ways
 * (`tokenizer.ggml.pre`), and as a `tokenizer.json` says them.
 */

/** A way to split. */
export interface TextSplit {
  /** What `tokenizer.json` has under `pre_tokenizer`. */
  readonly preTokenizer: Readonly<Record<string, unknown>>;
  readonly normalizer: Readonly<Record<string, unknown>> | null;
  /** A whole piece that is a token is taken as it is. */
  readonly ignoreMerges: boolean;
  /** Whether files without the key put BOS in front. */
  readonly addBos: boolean;
}

const WORDS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";

const LLAMA3 = `${ENDINGS}|${WORDS}|\\p{N}{1,3}|${REST}`;
const QWEN2 = `${ENDINGS}|${WORDS}|\\p{N}|${REST}`;

/** ByteLevel with the pattern of GPT-2. */
const GPT2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

function splitBy(pattern: string): Readonly<Record<string, unknown>> {
  return sequence(
    { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
    { ...GPT2, use_regex: false },
  );
}

function sequence(...pretokenizers: Readonly<Record<string, unknown>>[]) {
  return { type: "Sequence", pretokenizers };
}

const PLAIN = { normalizer: null, ignoreMerges: false, addBos: false };
const NFC = { type: "NFC" };

const SPLITS: Readonly<Record<string, TextSplit>> = {
  "gpt-2": { ...PLAIN, preTokenizer: GPT2 },
  olmo: { ...PLAIN, preTokenizer: GPT2, normalizer: NFC },
  smollm: {
    ...PLAIN,
    preTokenizer: sequence({ type: "Digits", individual_digits: true }, GPT2),
  },
  "llama-bpe": { ...PLAIN, preTokenizer: splitBy(LLAMA3), ignoreMerges: true, addBos: true },
  dbrx: { ...PLAIN, preTokenizer: splitBy(LLAMA3) },
  qwen2: { ...PLAIN, preTokenizer: splitBy(QWEN2), normalizer: NFC },
};

/** Other names of the same ways. */
const ALIASES: Readonly<Record<string, string>> = {
  "gpt2": "gpt-2",
  "default": "gpt-2",
  "mpt": "olmo",
  "phi-2": "gpt-2",
  "llama3": "llama-bpe",
  "llama-v3": "llama-bpe",
  "megrez": "qwen2",
  "deepseek-r1-qwen": "qwen2",
};

/** The way that a file calls `name`; undefined for one that is not known. */
export function splitNamed(name: string): TextSplit | undefined {
  const known = Object.hasOwn(ALIASES, name) ? ALIASES[name] : name;
  return Object.hasOwn(SPLITS, known) ? SPLITS[known] : undefined;
}

/** Names for messages. */
export const KNOWN_SPLITS: readonly string[] = Object.keys(SPLITS);

/**
 * The name of the way a `tokenizer.json` splits; undefined when it is none of those known. With or
 * without normalizer: readers of GGUF files do not normalize, and these files do not depend on it.
 */
export function nameOfSplit(
  preTokenizer: unknown,
  model: { readonly ignoreMerges: boolean; readonly normalizes: boolean },
): string | undefined {
  const fits = Object.entries(SPLITS).filter(([, split]) =>
    sameSplit(split.preTokenizer, preTokenizer)
  );
  const score = ([, split]: [string, TextSplit]) =>
    Number(split.ignoreMerges === model.ignoreMerges) * 2 +
    Number((split.normalizer !== null) === model.normalizes);
  return fits.sort((a, b) => score(b) - score(a))[0]?.[0];
}

/** The way that treats digits alike, for a pre-tokenizer that has no name. */
export function nearestSplit(preTokenizer: unknown): string {
  const text = JSON.stringify(preTokenizer);
  if (text.includes("\\p{N}{1,3}")) return "llama-bpe";
  return text.includes("\\p{N}+") || !/\\p\{N\}|Digits/.test(text) ? "gpt-2" : "smollm";
}

/** Whether two pre-tokenizers split alike, whatever they say about offsets. */
function sameSplit(a: unknown, b: unknown): boolean {
  return JSON.stringify(essence(a)) === JSON.stringify(essence(b));
}

function essence(value: unknown): unknown {
  const step = value as Record<string, unknown> | null;
  if (step === null || typeof step !== "object") return step;
  if (Array.isArray(step.pretokenizers)) {
    const steps = step.pretokenizers.map(essence);
    return steps.length === 1 ? steps[0] : steps;
  }
  if (step.type === "ByteLevel") return ["ByteLevel", step.use_regex !== false];
  if (step.type === "Split") {
    const { Regex, String } = (step.pattern ?? {}) as Record<string, unknown>;
    return ["Split", normalPattern(Regex), String ?? null, step.behavior, step.invert === true];
  }
  return [step.type, step.individual_digits ?? null];
}

/** Files write the endings of words in several equal ways. */
function normalPattern(pattern: unknown): unknown {
  if (typeof pattern !== "string") return null;
  return pattern.replace(
    /^\(\?:?i?:?\[?'s\|'t\|'re\|'ve\|'m\|'ll\|'d\)|^\(\?i:\[sdmt\]\|ll\|ve\|re\)/,
    ENDINGS,
  );
}
