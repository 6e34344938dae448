/**
 * The parts of a row as text: messages are rendered by a chat template or as an Anthropic-HH transcript,
 * plain texts stay as they are where no template is asked for. Which parts a row has is not decided
 * here, see `formats.ts`.
 */
import {
  type ChatRenderer,
  type Message,
  parseTranscript,
  type RenderOptions,
  renderTranscript,
} from "./chat_template.ts";
import { DataError } from "./error.ts";

/** A part of a row: a text, or messages. */
export type Content = string | readonly Message[];

/** What a reply follows in an Anthropic-HH transcript. */
export const ASSISTANT = "\n\nAssistant:";

/** How parts become text. */
export interface Rendering {
  /** Renders conversations; absent, they become Anthropic-HH transcripts. */
  readonly chat?: ChatRenderer;
  /** Rendered turns that end with this text (and blanks) are cut after it. */
  readonly eosToken?: string;
  /** Functions that the assistant may call, for the template. */
  readonly tools?: readonly unknown[];
}

/** A row cannot be used; the message is the reason that is counted. Never leaves `readRow`. */
export class Unusable extends Error {}

/** Whether a message says nothing: a blank text, and no calls of tools. */
function isBlank(message: Message): boolean {
  return message.content.trim() === "" && !callsTools(message.tool_calls);
}

/** Whether this is a `tool_calls` with calls. */
export function callsTools(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

/**
 * Renders a prompt and its answers. Plain texts stay as they are unless there is a chat template: then
 * they are one user turn (or the turns of a transcript) and one assistant turn.
 *
 * @throws Unusable when a part is empty or cannot be rendered.
 */
export function renderParts(
  prompt: Content,
  answers: readonly Content[],
  rendering: Rendering,
): { prompt: string; answers: string[] } {
  if (!rendering.chat && typeof prompt === "string") {
    const plain = answers.map((answer) => {
      if (typeof answer === "string") return answer;
      if (answer.length !== 1) throw new Unusable("several messages in an answer");
      return answer[0].content;
    });
    return { prompt, answers: plain };
  }
  const opening = typeof prompt === "string" ? promptMessages(prompt) : prompt;
  if (opening.length === 0) throw new Unusable("empty prompt");
  // A prompt that ends with the assistant is a turn that the answer goes on with.
  const open = opening.at(-1)!.role === "assistant";
  const replies = answers.map((answer) =>
    typeof answer === "string"
      ? [{ role: "assistant", content: open ? answer : answer.trim() }]
      : answer
  );
  if (replies.some((reply) => reply.length === 0 || reply.some(isBlank))) {
    throw new Unusable("empty answer");
  }
  return renderConversation(opening, replies, open, rendering);
}

/** A transcript's turns, or the text as one user turn. */
function promptMessages(prompt: string): Message[] {
  if (isTranscript(prompt)) {
    const messages = parseTranscript(prompt);
    if (messages.at(-1)?.role !== "user") {
      throw new Unusable("the prompt does not end with a user turn");
    }
    return messages;
  }
  return prompt.trim() === "" ? [] : [{ role: "user", content: prompt }];
}

/** Each answer is what the whole conversation adds to the rendered prompt. */
function renderConversation(
  opening: readonly Message[],
  replies: readonly (readonly Message[])[],
  open: boolean,
  rendering: Rendering,
): { prompt: string; answers: string[] } {
  const render = (messages: readonly Message[], options?: RenderOptions) => {
    try {
      const { chat = renderTranscript, tools } = rendering;
      return chat(messages, { ...options, tools });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      throw new Unusable(error.message.slice(0, 160));
    }
  };
  const prompt = render(opening, { addGenerationPrompt: !open, continueFinalMessage: open });
  const answers = replies.map((reply) => {
    const whole = render(open ? continueLast(opening, reply) : [...opening, ...reply]);
    if (!whole.startsWith(prompt)) {
      throw new Unusable("the chat template renders the prompt otherwise when an answer follows");
    }
    return cutAfterEos(whole.slice(prompt.length), rendering.eosToken);
  });
  return { prompt, answers };
}

/** Joins the first message of a reply to the last one of the prompt. */
function continueLast(opening: readonly Message[], reply: readonly Message[]): Message[] {
  const last = opening.at(-1)!;
  const joined = { ...last, content: last.content + reply[0].content };
  return [...opening.slice(0, -1), joined, ...reply.slice(1)];
}

/** Many templates write a newline after the end-of-turn token; nothing is learned from it. */
function cutAfterEos(answer: string, eosToken?: string): string {
  const trimmed = answer.trimEnd();
  return eosToken && trimmed.endsWith(eosToken) ? trimmed : answer;
}

/** Whether a part of a row is an Anthropic-HH transcript. */
export function isTranscript(value: unknown): boolean {
  return typeof value === "string" && /(^|\n\n)Human:/.test(value) && value.includes(ASSISTANT);
}
