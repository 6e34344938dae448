import { assertEquals, assertThrows } from "@std/assert";
import { compileChatTemplate } from "../../data/chat_template.ts";
import { DataError } from "../../data/error.ts";
import { type DataForm, detectForm, readRow, type RowUse } from "../../data/formats.ts";
import { NAMED_TEMPLATES } from "../../data/named_templates.ts";

const chat = compileChatTemplate("qwen", NAMED_TEMPLATES.qwen, {});
const read = (row: Record<string, unknown>, form: DataForm, use: RowUse = "pairs") =>
  readRow(row, { form, use, chat, eosToken: "<|im_end|>" });
const turn = (role: string, text: string) => `<|im_start|>${role}\n${text}<|im_end|>\n`;
const says = (from: string, value: string) => ({ from, value });

Deno.test("readRow() reads ShareGPT conversations and their speakers", () => {
  const conversations = [
    says("system", "S"),
    says("human", "a"),
    says("gpt", "b"),
    says("human", "c"),
  ];
  const pair = { conversations, chosen: says("gpt", "d"), rejected: [says("assistant", "e")] };
  assertEquals(detectForm(pair, "f:1"), "explicit");
  assertEquals(read(pair, "explicit"), {
    prompt: turn("system", "S") + turn("user", "a") + turn("assistant", "b") + turn("user", "c") +
      "<|im_start|>assistant\n",
    answers: ["d<|im_end|>", "e<|im_end|>"],
  });
  const single = { conversations: [says("user", "a"), says("chatgpt", "b")] };
  assertEquals(detectForm(single, "f:1"), "messages");
  assertEquals(read(single, "messages", "single"), {
    prompt: turn("user", "a") + "<|im_start|>assistant\n",
    answers: ["b<|im_end|>"],
  });
  const whole = {
    chosen: [says("human", "a"), says("gpt", "b")],
    rejected: [says("human", "a"), says("gpt", "c")],
  };
  assertEquals(read(whole, detectForm(whole, "f:1")), {
    prompt: turn("user", "a") + "<|im_start|>assistant\n",
    answers: ["b<|im_end|>", "c<|im_end|>"],
  });
});

Deno.test("readRow() hands tools and calls to the template", () => {
  const tools = [{ type: "function", function: { name: "look" } }];
  const call = { type: "function", function: { name: "look", arguments: { q: "é" } } };
  const row = {
    tools: JSON.stringify(tools),
    prompt: [{ role: "user", content: [{ type: "text", text: "a" }, { type: "text", text: "b" }] }],
    chosen: [{ role: "assistant", content: null, tool_calls: [call] }],
    rejected: [says("function_call", '{"name":"look","arguments":{"q":"x"}}')],
  };
  const called = (q: string) =>
    `<tool_call>\n{"name": "look", "arguments": {"q": "${q}"}}\n</tool_call><|im_end|>`;
  const result = read(row, "explicit");
  if ("drop" in result) throw new Error(result.drop);
  assertEquals(result.prompt.includes(`<tools>\n${'{"type": "function"'}`), true);
  assertEquals(result.prompt.endsWith(turn("user", "ab") + "<|im_start|>assistant\n"), true);
  assertEquals(result.answers, [called("é"), called("x")]);
});

Deno.test("readRow() drops conversations that it cannot read, with the reason", () => {
  const prompt = [says("human", "a")];
  const drop = (row: Record<string, unknown>) =>
    read({ prompt, rejected: "r", ...row }, "explicit");
  const cases: [Record<string, unknown>, string][] = [
    [{ chosen: says("narrator", "b") }, 'unknown speaker "narrator"'],
    [{ chosen: says("function_call", "{") }, 'a "function_call" is not valid JSON'],
    [{ chosen: says("function_call", "[{}]") }, 'a "function_call" names no function'],
    [{ chosen: [{ from: "gpt" }] }, '"chosen" is neither text nor messages of role and content'],
    [
      { chosen: [{ role: "assistant", content: [{ type: "image" }] }] },
      "a part of a message is no text",
    ],
    [
      { chosen: [{ role: "assistant", content: null, tool_calls: [] }] },
      '"chosen" is neither text nor messages of role and content',
    ],
    [{ chosen: "c", tools: "{" }, '"tools" is not valid JSON'],
    [{ chosen: "c", tools: "{}" }, '"tools" is no list'],
  ];
  for (const [row, reason] of cases) assertEquals(drop(row), { drop: reason }, reason);
});

Deno.test("readRow() counts a template that renders the prompt otherwise when an answer follows", () => {
  const shy = compileChatTemplate("shy", "{{ messages | length }}{{ messages[-1].content }}", {});
  const row = { prompt: [says("human", "a")], chosen: "b", rejected: "c" };
  assertEquals(readRow(row, { form: "explicit", use: "pairs", chat: shy }), {
    drop: "the chat template renders the prompt otherwise when an answer follows",
  });
});

Deno.test("compileChatTemplate() trims as Python does, or refuses", () => {
  const render = compileChatTemplate(
    "t",
    "{{ messages[0].content | trim }}{{ tools | tojson }}",
    {},
  );
  const trimmed = (content: string, tools = [content]) =>
    render([{ role: "user", content }], { tools });
  assertEquals(trimmed("\ufeff a\u0085 "), '\ufeff a["\ufeff a\u0085 "]');
  assertEquals(
    trimmed(" \u0085a\u0085b \ufdd0\ufeff"),
    'a\u0085b \ufdd0\ufeff[" \u0085a\u0085b \ufdd0\ufeff"]',
  );
  assertEquals(trimmed("a\x1cb"), 'a\x1cb["a\\u001cb"]');
  assertThrows(() => trimmed("a\x1c "), DataError, "one of U+001C to U+001F");
  assertThrows(
    () => compileChatTemplate("t", "{{ 'aB' | capitalize }}", {}),
    DataError,
    'its filter "capitalize"',
  );
});
