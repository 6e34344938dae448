/** The conversations on which chat templates are compared; conversations.py makes the same ones. */
import type { Message } from "../../../data/chat_template.ts";
import { parityText as anyText, Random } from "./texts.ts";

const ROLES = ["user", "assistant"];

/** Without U+001C to U+001F, at which trimming is refused. */
function parityText(index: number): string {
  // deno-lint-ignore no-control-regex
  return anyText(index).replace(/[\x1c-\x1f]/g, "");
}

/** Messages and tools; every third conversation has a system turn, every fourth calls a tool. */
export function parityConversation(index: number): { messages: Message[]; tools?: unknown[] } {
  const random = new Random((0x51ed270b ^ Math.imul(index, 2246822519)) || 1);
  const messages: Message[] = [];
  if (index % 3 === 0) messages.push({ role: "system", content: parityText(5000 + index) });
  const turns = 1 + random.below(6);
  for (let turn = 0; turn < turns; turn++) {
    const text = parityText(10000 + 10 * index + turn);
    const content = [text, ` ${text}\n`, pythonStrip(text) || "a"][random.below(3)];
    messages.push({ role: ROLES[turn % 2], content });
  }
  if (index % 4 !== 0) return { messages };
  const tools = Array.from({ length: 1 + random.below(3) }, () => tool(random));
  const last = messages.at(-1)!;
  if (last.role === "assistant") {
    const calls = Array.from({ length: 1 + random.below(2) }, () => call(random));
    messages[messages.length - 1] = { ...last, tool_calls: calls };
    for (let left = random.below(3); left > 0; left--) {
      messages.push({ role: "tool", name: "look", content: parityText(20000 + index) });
    }
  }
  return { messages, tools };
}

/** Python's `str.strip`: other blanks than JavaScript's `trim`. */
function pythonStrip(text: string): string {
  return text.replace(/^\p{White_Space}+/u, "").replace(
    /(?<!\p{White_Space})\p{White_Space}+$/u,
    "",
  );
}

function tool(random: Random) {
  return {
    type: "function",
    function: {
      name: "look",
      description: parityText(random.below(9000)),
      parameters: {
        type: "object",
        required: [],
        properties: { n: { enum: [1, -2, null, true] } },
      },
    },
  };
}

function call(random: Random) {
  const q = parityText(random.below(9000));
  const n = random.below(1000);
  return {
    type: "function",
    function: { name: "look", arguments: { q, n, deep: { list: [0.5, {}, []] } } },
  };
}
