/** What the doctor's counts mean: one sentence each, with what to do. */
import type { TextTokenizer } from "../data/tokenizer.ts";
import type { DatasetExam } from "./doctor_page.ts";

/** Shares from which on something is worth a sentence. */
const MANY = 0.05, MOSTLY = 0.65;

/** What chat templates begin and end turns with. */
const TURN_MARK = /<\|[a-z_]+\|>|<(?:start|end)_of_turn>|\[\/?INST\]/g;

/** Remarks on the datasets and on how tokenizer and model fit. */
export function doctorWarnings(
  exams: { readonly train: DatasetExam; readonly validation?: DatasetExam },
  model: {
    readonly tokenizer: Pick<TextTokenizer, "eosId" | "eosToken" | "encode">;
    readonly eosIds: readonly number[];
    /** A prompt as text. */
    readonly prompt: string;
  },
): string[] {
  const { eosId, eosToken } = model.tokenizer;
  const lines: string[] = [];
  if (model.eosIds.length > 0 && !model.eosIds.includes(eosId)) {
    lines.push(
      `The tokenizer ends texts with "${eosToken}" (${eosId}), the model's config.json with ` +
        `${model.eosIds.join(" or ")}: generation may not stop where training ends`,
    );
  }
  for (const mark of new Set(model.prompt.match(TURN_MARK) ?? [])) {
    const { length } = model.tokenizer.encode(mark, { addSpecialTokens: false });
    if (length > 1) {
      lines.push(
        `"${mark}" in the prompts is no token of this model but ${length}: choose the chat template ` +
          `it was trained with`,
      );
    }
  }
  lines.push(...examWarnings("training", exams.train));
  if (exams.validation) lines.push(...examWarnings("validation", exams.validation));
  return lines;
}

function examWarnings(which: string, { report, findings }: DatasetExam): string[] {
  const { duplicates, lengths, truncation } = findings;
  const lines: string[] = [];
  const rows = `${which} rows`;
  if (duplicates.rows > 0) {
    lines.push(`${duplicates.rows} ${rows} repeat an earlier one: remove them`);
  }
  if (duplicates.reversed > 0) {
    lines.push(
      `${duplicates.reversed} ${rows} prefer the answer that an earlier row rejects: the two cancel`,
    );
  }
  if (findings.identical > 0) {
    lines.push(`${findings.identical} ${rows} have the same answer twice and teach nothing`);
  }
  if (lengths) lines.push(...lengthWarnings(rows, lengths));
  if (findings.mergedBorders > 0) {
    lines.push(
      `${findings.mergedBorders} ${rows} (first row ${findings.firstMergedRow}) have a token that ` +
        `holds the prompt's end and the answer's beginning; it counts as answer. End prompts ` +
        `without a blank and begin answers with it, or use a chat template`,
    );
  }
  if (findings.bosTwice > 0) {
    lines.push(`${findings.bosTwice} ${rows} begin with two BOS: one stands in the texts`);
  }
  if (findings.eosInside > 0) {
    lines.push(
      `${findings.eosInside} answers of ${rows} hold the end-of-text token before their end`,
    );
  }
  if (truncation.endsLost > MANY * report.kept) {
    lines.push(
      `${truncation.endsLost} answers of ${rows} lost their end to the length limits: the model ` +
        `is not taught to stop there; raise max_length or max_completion_length`,
    );
  }
  return lines;
}

function lengthWarnings(
  rows: string,
  { pairs, chosenLonger, sameLength }: NonNullable<DatasetExam["findings"]["lengths"]>,
): string[] {
  const unlike = pairs - sameLength;
  const longer = chosenLonger / Math.max(1, unlike);
  if (longer <= MOSTLY && longer >= 1 - MOSTLY) return [];
  const word = longer > MOSTLY ? "longer" : "shorter";
  const percent = Math.round(100 * (longer > MOSTLY ? longer : 1 - longer));
  return [
    `In ${percent} % of the ${rows} whose answers differ in length the ${word} one is chosen: the ` +
    `model may learn length; compare with ld_alpha or a length-normalised loss`,
  ];
}
