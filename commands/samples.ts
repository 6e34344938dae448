/** Held-out prompts answered by the model before and after training. */
import type { LlamaEngine } from "../model/llama.ts";
import type { Session } from "./session.ts";

/** The first distinct held-out prompts, as many as the config asks for. */
export function samplePrompts(session: Session): string[] {
  const { data, settings } = session;
  const prompts = new Set<string>();
  for (let i = 0; i < data.validation.length && prompts.size < settings.samples.prompts; i++) {
    prompts.add(data.validation.text(i).prompt);
  }
  return [...prompts];
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
  const room = engine.maxSequenceLength - maxNewTokens;
  const ids = prompts.map((prompt) => tokenizer.encode(prompt).slice(-Math.max(1, room)));
  const answers = await engine.generateGreedy(ids, {
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
