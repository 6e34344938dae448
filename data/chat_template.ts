/**
 * Conversations as text, by a model's own chat template (Jinja, as in Hugging Face tokenizers) or,
 * without one, as an Anthropic-HH transcript.
 */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { DataError } from "./error.ts";
import { swapBlanks } from "./template_blanks.ts";

/** A turn of a conversation. Templates may read more keys than these two. */
export interface Message {
  readonly role: string;
  readonly content: string;
  readonly [key: string]: unknown;
}

/** How a conversation ends when it is rendered. */
export interface RenderOptions {
  /** Opens an assistant turn at the end. */
  readonly addGenerationPrompt?: boolean;
  /** Stops right after the last message's content, so that its turn stays open. */
  readonly continueFinalMessage?: boolean;
  /** Declarations of functions that the assistant may call. */
  readonly tools?: readonly unknown[];
}

/** Renders a conversation to text; throws DataError when the template refuses it. */
export type ChatRenderer = (messages: readonly Message[], options?: RenderOptions) => string;

/** The date that templates are told: any fixed one gives the same bytes on another day. */
const TEMPLATE_DATE = new Date(Date.UTC(2024, 6, 26));

/**
 * Compiles a chat template.
 *
 * Templates see `messages`, `tools`, `add_generation_prompt`, `bos_token`, `eos_token` and, as in
 * transformers, `raise_exception` and `strftime_now`. The latter always tells 26 July 2024 (the date
 * Llama 3.2's own template falls back to): a run must not depend on the day it is started.
 *
 * @param name the file the template came from, used in messages.
 * @throws DataError when the template does not compile.
 */
export function compileChatTemplate(
  name: string,
  template: string,
  tokens: { readonly bosToken?: string; readonly eosToken?: string },
): ChatRenderer {
  const unlike = /\|\s*(capitalize|title)\b/.exec(template);
  if (unlike) {
    throw new DataError(
      `Compiling the chat template of "${name}": its filter "${unlike[1]}" changes other letters ` +
        `here than in Python; take it out of the template`,
    );
  }
  let program: ReturnType<typeof parse>;
  try {
    program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  } catch (error) {
    throw new DataError(
      `Compiling the chat template of "${name}": ${(error as Error).message}`,
      { cause: error },
    );
  }
  const render = (
    messages: readonly Message[],
    addGenerationPrompt: boolean,
    tools: readonly unknown[] | undefined,
  ) => {
    try {
      const environment = templateEnvironment();
      const blanks = swapBlanks(messages, tools);
      environment.set("messages", blanks.swap(messages));
      environment.set("tools", blanks.swap(tools ?? null));
      environment.set("add_generation_prompt", addGenerationPrompt);
      environment.set("bos_token", tokens.bosToken ?? "");
      environment.set("eos_token", tokens.eosToken ?? "");
      const text =
        (new Interpreter(environment).run(program) as unknown as { value: string }).value;
      return blanks.restore(text);
    } catch (error) {
      throw new DataError(
        `Rendering a conversation by the chat template of "${name}": ${(error as Error).message}`,
        { cause: error },
      );
    }
  };
  return (messages, options = {}) => {
    const text = render(messages, options.addGenerationPrompt ?? false, options.tools);
    return options.continueFinalMessage ? cutAfterFinalMessage(name, text, messages) : text;
  };
}

/** The global names of transformers' template environment. */
function templateEnvironment(): Environment {
  const environment = new Environment();
  const constants = { true: true, True: true, false: false, False: false, none: null, None: null };
  for (const [key, value] of Object.entries(constants)) environment.set(key, value);
  environment.set("raise_exception", (message: unknown) => {
    throw new Error(String(message));
  });
  environment.set("range", range);
  environment.set("strftime_now", (format: unknown) => formatDate(TEMPLATE_DATE, String(format)));
  return environment;
}

/** Python's `range`. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new Error("range() needs a step other than zero");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  return Array.from({ length }, (_, i) => start + i * step);
}

const MONTHS =
  "January February March April May June July August September October November December"
    .split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's `strftime` in English, for the fields that templates use; others stay as written. */
function formatDate(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const month = MONTHS[date.getUTCMonth()], day = DAYS[date.getUTCDay()];
  const fields: Record<string, string> = {
    Y: String(date.getUTCFullYear()),
    y: two(date.getUTCFullYear() % 100),
    m: two(date.getUTCMonth() + 1),
    d: two(date.getUTCDate()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getUTCHours()),
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    "%": "%",
  };
  return format.replace(/%(.)/g, (whole, field) => fields[field] ?? whole);
}

/** Drops what the template wrote after the last message (its end-of-turn tokens). */
function cutAfterFinalMessage(name: string, text: string, messages: readonly Message[]): string {
  const content = messages.at(-1)?.content ?? "";
  // Templates often trim the content.
  for (const written of [content, content.trim()]) {
    const start = text.lastIndexOf(written);
    if (written !== "" && start >= 0) return text.slice(0, start + written.length);
  }
  throw new DataError(
    `Rendering a conversation by the chat template of "${name}": ` +
      `the last message, which is to be continued, does not appear in the result`,
  );
}

/**
 * A conversation as an Anthropic-HH transcript: `\n\nHuman: ...\n\nAssistant: ...`; a system message
 * stands before it. A generation prompt is a last `\n\nAssistant:`.
 *
 * @throws DataError for a role that transcripts do not have.
 */
export function renderTranscript(
  messages: readonly Message[],
  options: RenderOptions = {},
): string {
  let text = "";
  for (const { role, content } of messages) {
    if (role === "system") text += content;
    else if (role === "user") text += `\n\nHuman: ${content}`;
    else if (role === "assistant") text += `\n\nAssistant: ${content}`;
    else {
      throw new DataError(
        `Rendering a conversation as a transcript: role "${role}" needs a chat template`,
      );
    }
  }
  return options.addGenerationPrompt ? `${text}\n\nAssistant:` : text;
}

const TURN = /\n\n(Human|Assistant): ?/g;

/**
 * Reads an Anthropic-HH transcript; contents are trimmed and empty turns left out. A transcript may
 * begin with `Human:` without the blank line.
 *
 * @returns no messages when there is no turn in the text.
 */
export function parseTranscript(transcript: string): Message[] {
  const text = /^(Human|Assistant):/.test(transcript) ? `\n\n${transcript}` : transcript;
  const turns = [...text.matchAll(TURN)];
  return turns.flatMap((turn, i) => {
    const content = text.slice(turn.index + turn[0].length, turns[i + 1]?.index).trim();
    const role = turn[1] === "Human" ? "user" : "assistant";
    return content === "" ? [] : [{ role, content }];
  });
}
