/**
 * What the contract suite found, in words for the author of a mode: which promise is broken, where,
 * what was expected and found, and what it mostly comes from.
 */
import type { Finding } from "../losses/contract.ts";
import { makeContext, ordinaryBatch } from "../losses/contract_batches.ts";
import type { AnswerScores, Json, LossMode, Options, ScoreBatch } from "../losses/loss_mode.ts";
import { NARROW_STEP, numericSeeds, STEP } from "../losses/numeric_seeds.ts";
import { defaultOptions } from "../losses/options.ts";

/** What each check asks of a mode, and what to do about it. */
const ADVICE: Record<Finding["check"], { readonly title: string; readonly advice: string }> = {
  name: {
    title: "Name, version or help is wrong",
    advice: "name is the file's name without .ts, version a whole number from 1, help one line",
  },
  options: {
    title: "An option is wrong",
    advice: "Each option needs a default inside its own range and one line of help",
  },
  state: {
    title: "The state does not survive a checkpoint",
    advice: "Keep only finite numbers, text, true, false, null, arrays and plain objects in it",
  },
  gradient: {
    title: "A derivative is wrong",
    advice: "seeds must be the derivative of the loss, weights included; leave seeds out of what " +
      "loss returns, and they are taken numerically",
  },
  evaluation: {
    title: "Evaluation is not free of consequences",
    advice: "When context.training is false, return the state as it came and do not ask for " +
      "random numbers or use the step",
  },
  repeatable: {
    title: "The same input gives different results",
    advice: "Keep nothing outside the state; random numbers come only from context.uniform(i)",
  },
  finite: {
    title: "Something is not finite, or is refused, at an extreme input",
    advice: "Use the functions of losses/log_sigmoid.ts and losses/bounded.ts instead of " +
      "Math.exp and Math.log; think of a batch of one pair",
  },
  inputs: {
    title: "An input is changed in place",
    advice: "Copy before changing: batch, state and options belong to the caller",
  },
  lengths: {
    title: "Something goes wrong at another number of rows",
    advice: "Take the number of rows from batch.size; every array has one number for each",
  },
};

type Part = "chosen" | "rejected" | "prompt";

interface Fault {
  readonly part: Part;
  readonly row: number;
  readonly expected: number;
  readonly found: number;
  readonly batch: ScoreBatch;
  readonly call: number;
  readonly beta?: number;
  readonly weight: number;
}

/** Each part's first derivative that is no difference of the loss, in a few training calls. */
function gradientFaults(mode: LossMode, options: Options, size: number): Fault[] {
  let state: Json = mode.init(options);
  for (let call = 0; call < 4; call++) {
    const batch = ordinaryBatch(mode.needs(options), size, call);
    const decision = mode.decide(batch, state, options, makeContext(true, call));
    state = decision.state;
    const { seeds } = mode.loss!(batch, decision, options);
    if (!seeds) return [];
    const differences = (step: number) =>
      numericSeeds(batch, (scores) => mode.loss!(scores, decision, options).loss, step);
    const [wide, narrow] = [differences(STEP), differences(NARROW_STEP)];
    const parts = (["chosen", "rejected", "prompt"] as const).filter((part) => wide[part]);
    const scale = Math.max(1e-12, ...parts.flatMap((part) => [...wide[part]!].map(Math.abs)));
    const faults = parts.flatMap((part): Fault[] => {
      const off = (row: number, by: typeof wide) =>
        !(Math.abs((seeds[part]?.[row] ?? 0) - by[part]![row]) <= 1e-7 * scale);
      const row = wide[part]!.findIndex((_, i) => off(i, wide) && off(i, narrow));
      if (row < 0) return [];
      const { beta, weights } = decision;
      return [{
        part,
        row,
        expected: wide[part]![row],
        found: seeds[part]?.[row] ?? 0,
        batch,
        call,
        beta: typeof beta === "number" ? beta : beta?.[row],
        weight: weights ? weights[row] : 1 / size,
      }];
    });
    if (faults.length > 0) return faults;
  }
  return [];
}

/** A known mistake that the ratio of found and expected points to. */
function suspicion({ part, row, expected, found, batch, beta }: Fault): string | undefined {
  if (!Number.isFinite(found)) return "it is no finite number";
  if (found === 0) return "it is left at 0";
  const ratio = found / expected;
  const like = (value: number) => Math.abs(Math.abs(ratio) / value - 1) < 1e-5;
  const length = batch[part]!.length[row];
  const causes = [
    ...beta !== undefined && beta !== 1 && like(1 / beta) ? ["the factor beta is missing"] : [],
    ...beta !== undefined && beta !== 1 && like(beta) ? ["beta is in it twice"] : [],
    ...like(batch.size) ? ["the pair's weight, 1/B, is missing"] : [],
    ...like(1 / batch.size) ? ["the pair's weight, 1/B, is in it twice"] : [],
    ...like(length) ? ["it is not divided by the number of tokens"] : [],
    ...like(2) ? ["it is twice as large as it should be"] : [],
    ...like(0.5) ? ["it is half as large as it should be"] : [],
  ];
  const sign = ratio < 0 ? ["its sign is turned"] : [];
  const both = [...sign, ...causes.length > 0 ? [causes.join(", or ")] : []];
  return both.length > 0 && (like(1) || causes.length > 0) ? both.join(" and ") : undefined;
}

function number(value: number): string {
  return String(Number(value.toPrecision(9)));
}

function answerText(name: string, scores: AnswerScores | undefined, row: number): string[] {
  if (!scores) return [];
  const reference = scores.reference ? `, reference ${number(scores.reference[row])}` : "";
  return [
    `${name}: policy ${number(scores.policy[row])}${reference}, ${scores.length[row]} tokens`,
  ];
}

function faultLines(fault: Fault): string[] {
  const { part, row, batch, beta } = fault;
  const cause = suspicion(fault);
  const whose = part === "prompt" ? "the prompt's" : `the ${part} answer's`;
  return [
    `seeds.${part}[${row}], the derivative of the loss in ${whose} log-probability:`,
    `  expected ${number(fault.expected)} (from differences of the loss)`,
    `  found    ${number(fault.found)}${cause ? `: ${cause}` : ""}`,
    `  at pair ${row} of ${batch.size}, training call ${fault.call + 1}:`,
    ...[
      ...answerText("chosen", batch.chosen, row),
      ...answerText("rejected", batch.rejected, row),
      ...batch.prompt
        ? [`prompt: policy ${number(batch.prompt.policy[row])}, ${batch.prompt.length[row]} tokens`]
        : [],
      `${beta === undefined ? "" : `beta ${number(beta)}, `}weight ${number(fault.weight)}`,
    ].map((line) => `    ${line}`),
  ];
}

/** Seven rows first: as a factor 7 is told from 1 / 0.1, which the suite's own ten rows are not. */
function explainGradient(mode: LossMode, options: Options): string[] {
  if (!mode.loss) return [];
  for (const size of [7, 10]) {
    const faults = gradientFaults(mode, options, size);
    if (faults.length > 0) return faults.flatMap(faultLines);
  }
  return [];
}

/** What the mode throws wherever it is run: then each check has found only that. */
function commonFailure(findings: readonly Finding[]): string | undefined {
  const first = findings.find(({ check, detail }) =>
    check === "state" && detail.includes('" failed: ')
  );
  const same = findings.filter(({ detail }) => detail === first?.detail);
  return first && new Set(same.map(({ check }) => check)).size >= 3 ? first.detail : undefined;
}

/**
 * Findings of one mode as lines of text, one numbered part for each kind of fault.
 *
 * @param options what the mode was checked with, besides the defaults
 */
export function explainFindings(
  mode: LossMode,
  findings: readonly Finding[],
  options: Options = {},
): string[] {
  const thrown = commonFailure(findings);
  if (thrown !== undefined) {
    return [
      "1. A function of the mode fails in every call, so nothing else can be checked",
      `   ${thrown}`,
      "",
    ];
  }
  const lines: string[] = [];
  const kinds = [...new Set(findings.map(({ check }) => check))];
  kinds.forEach((kind, i) => {
    const details = findings.filter(({ check }) => check === kind).map(({ detail }) => detail);
    const settings = { ...defaultOptions(mode.options), ...options };
    const explained = kind === "gradient" ? explainGradient(mode, settings) : [];
    const { title, advice } = ADVICE[kind];
    // One fault shows at many inputs; a few of them are enough.
    const unique = [...new Set(details)];
    const shown = explained.length > 0 ? explained : unique.slice(0, 3);
    const more = explained.length > 0 ? 0 : unique.length - shown.length;
    lines.push(`${i + 1}. ${title}`);
    for (const line of shown) lines.push(`   ${line}`);
    if (more > 0) lines.push(`   and ${more} more like these`);
    lines.push(`   What to do: ${advice}`, "");
  });
  return lines;
}
