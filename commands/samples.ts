/** Held-out prompts answered by the model before and after training. */
import type { LlamaEngine } from "../model/llama.ts";
import type { Session } from "./session.ts";

/** The first distinct held-out prompts that fit the model, as many as the config asks for. */
export function samplePrompts(session: Session): string[] {
  const { data, settings, tokenizer } = session;
  const prompts = new Set<string>();
  for (let i = 0; i < data.validation.length && prompts.size < settings.samples.prompts; i++) {
    const { prompt } = data.validation.text(i);
    const length = tokenizer.encode(prompt).length;
    if (length > 0 && length + settings.samples.maxNewTokens <= contextLength(session)) {
      prompts.add(prompt);
    }
  }
  return [...prompts];
}

function contextLength({ policy, reference }: Session): number {
  return Math.min(
    policy.config.maxPositionEmbeddings,
    reference?.config.maxPositionEmbeddings ?? Infinity,
  );
}

/** Tokens that the longest sample prompt with its answer needs. */
export function sampleTokens(session: Session): number {
  const lengths = samplePrompts(session).map((p) => session.tokenizer.encode(p).length);
  return lengths.length === 0 ? 0 : Math.max(...lengths) + session.settings.samples.maxNewTokens;
}

/** Greedy answers as text. */
export async function answerPrompts(
  session: Session,
  engine: LlamaEngine,
  prompts: readonly string[],
): Promise<string[]> {
  if (prompts.length === 0) return [];
  const { tokenizer, settings, policy } = session;
  const { maxNewTokens } = settings.samples;
  const ids = prompts.map((prompt) => tokenizer.encode(prompt));
  const answers = await engine.generate(ids, {
    maxNewTokens,
    stop: [tokenizer.eosId, ...policy.config.eosTokenIds],
  });
  return answers.map((answer) => tokenizer.decode(answer));
}

/** Prompts and both answers, side by side in time. */
export function sampleLines(
  prompts: readonly string[],
  before: readonly string[],
  after: readonly string[],
  hasReference: boolean,
): string[] {
  const indented = (text: string) => text.trim().split("\n").join("\n             ");
  return prompts.flatMap((prompt, i) => [
    "",
    `  prompt     ${indented(prompt)}`,
    `  ${hasReference ? "reference" : "before   "}  ${indented(before[i])}`,
    `  tuned      ${indented(after[i])}`,
  ]).concat(prompts.length > 0 ? [""] : []);
}
