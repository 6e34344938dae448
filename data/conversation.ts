/**
 * Messages of a row, in the ways that datasets write them: `role` and `content`, or ShareGPT's `from`
 * and `value`; content as a text or as a list of text parts; calls of tools.
 */
import type { Message } from "./chat_template.ts";
import { callsTools, Unusable } from "./row_text.ts";

/** ShareGPT's speakers as roles. A `function_call` is an assistant's message, see `readCall`. */
const SPEAKERS: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  chatgpt: "assistant",
  bot: "assistant",
  model: "assistant",
  system: "system",
  tool: "tool",
  observation: "tool",
  function_response: "tool",
};

/**
 * Reads one message, or a list of messages.
 *
 * @param key the column, for the reason.
 * @throws Unusable when it is neither.
 */
export function readMessages(key: string, value: unknown): Message[] {
  const list = Array.isArray(value) ? value : [value];
  return list.map((entry) => readMessage(key, entry));
}

function readMessage(key: string, entry: unknown): Message {
  const message = (typeof entry === "object" && entry !== null ? entry : {}) as Record<
    string,
    unknown
  >;
  if (typeof message.from === "string" && message.role === undefined) {
    return readSpeaker(key, message);
  }
  const { role } = message;
  const content = readContent(message);
  if (typeof role !== "string" || content === undefined) {
    throw new Unusable(`"${key}" is neither text nor messages of role and content`);
  }
  return { ...message, role, content };
}

/** The text of a message; one that only calls tools has none. */
function readContent({ content, tool_calls }: Record<string, unknown>): string | undefined {
  if (typeof content === "string") return content.toWellFormed();
  if (content === undefined || content === null) return callsTools(tool_calls) ? "" : undefined;
  if (!Array.isArray(content)) return undefined;
  const parts = content.map((part) => {
    const { type, text } = part ?? {};
    if (type === "text" && typeof text === "string") return text.toWellFormed();
    throw new Unusable("a part of a message is no text");
  });
  return parts.join("");
}

function readSpeaker(key: string, message: Record<string, unknown>): Message {
  const { from, value, ...rest } = message;
  if (typeof value !== "string") {
    throw new Unusable(`"${key}" is neither text nor messages of role and content`);
  }
  if (from === "function_call") return { ...rest, ...readCall(value) };
  const speaker = from as string;
  if (!Object.hasOwn(SPEAKERS, speaker)) {
    throw new Unusable(`unknown speaker "${speaker.slice(0, 40)}"`);
  }
  return { ...rest, role: SPEAKERS[speaker], content: value.toWellFormed() };
}

/** `{"name", "arguments"}` as JSON in a text, or a list of such, as a message that calls tools. */
function readCall(value: string): Message {
  let calls: unknown;
  try {
    calls = JSON.parse(value);
  } catch {
    throw new Unusable(`a "function_call" is not valid JSON`);
  }
  const list = Array.isArray(calls) ? calls : [calls];
  if (list.length === 0 || list.some((call) => typeof call?.name !== "string")) {
    throw new Unusable(`a "function_call" names no function`);
  }
  return {
    role: "assistant",
    content: "",
    tool_calls: list.map((call) => ({ type: "function", function: call })),
  };
}

/** A row's `tools` for the template: a list, or one written as JSON in a text. */
export function readTools(value: unknown): readonly unknown[] | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  let tools = value;
  if (typeof value === "string") {
    try {
      tools = JSON.parse(value);
    } catch {
      throw new Unusable(`"tools" is not valid JSON`);
    }
  }
  if (!Array.isArray(tools)) throw new Unusable(`"tools" is no list`);
  return tools.length === 0 ? undefined : tools;
}
