import { assertEquals, assertThrows } from "@std/assert";
import {
  compileChatTemplate,
  parseTranscript,
  renderTranscript,
} from "../../data/chat_template.ts";
import { DataError } from "../../data/error.ts";

const conversation = [
  { role: "system", content: "Be kind." },
  { role: "user", content: " Hi " },
  { role: "assistant", content: "Hello" },
];

Deno.test("compileChatTemplate() renders with trimmed blocks, special tokens and generation prompt", () => {
  // ChatML with the line structure that templates in model folders have.
  const template = `{{ bos_token }}{% for message in messages %}
    {%- if loop.first and message.role == 'system' %}
        {{- '[' ~ message.content ~ ']' }}
    {%- else %}
        {{- '<|' + message['role'] + '|>' + message.content | trim + eos_token }}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}<|assistant|>{% endif %}`;
  const render = compileChatTemplate("m", template, { bosToken: "<s>", eosToken: "</s>" });
  const turns = "<s>[Be kind.]<|user|>Hi</s>";
  assertEquals(render(conversation), `${turns}<|assistant|>Hello</s>`);
  assertEquals(
    render(conversation.slice(0, 2), { addGenerationPrompt: true }),
    `${turns}<|assistant|>`,
  );
  assertEquals(
    render(conversation, { continueFinalMessage: true }),
    `${turns}<|assistant|>Hello`,
  );
});

Deno.test("compileChatTemplate() continues a final message that occurs earlier, or was trimmed", () => {
  const render = compileChatTemplate(
    "m",
    "{% for m in messages %}<{{ m.content | trim }}>{% endfor %}",
    {},
  );
  const again = [{ role: "user", content: "ok" }, { role: "assistant", content: " ok " }];
  assertEquals(render(again, { continueFinalMessage: true }), "<ok><ok");
  const silent = compileChatTemplate("m", "nothing", {});
  assertThrows(
    () => silent(again, { continueFinalMessage: true }),
    DataError,
    "does not appear in the result",
  );
});

Deno.test("compileChatTemplate() tells templates the same date every day", () => {
  const render = compileChatTemplate(
    "m",
    "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y|%B %A %y-%m %H:%M:%S %% %q') }}{% endif %}",
    {},
  );
  assertEquals(render([]), "26 Jul 2024|July Friday 24-07 00:00:00 % %q");
});

Deno.test("compileChatTemplate() has Jinja's range and constants", () => {
  const render = compileChatTemplate(
    "m",
    "{% for i in range(3) %}{{ i }}{% endfor %}/{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}/" +
      "{{ none is none }}{{ True and true }}{{ False or false }}",
    {},
  );
  assertEquals(render([]).toLowerCase(), "012/531/truetruefalse");
});

Deno.test("compileChatTemplate() names the file of a bad template and passes its refusal on", () => {
  assertThrows(
    () => compileChatTemplate("folder", "{% for x in %}", {}),
    DataError,
    'Compiling the chat template of "folder"',
  );
  const refusing = compileChatTemplate("folder", "{{ raise_exception('No system role') }}", {});
  assertThrows(() => refusing(conversation), DataError, "No system role");
  const nested = JSON.parse('{"a":'.repeat(50_000) + "1" + "}".repeat(50_000));
  const plain = compileChatTemplate("folder", "x", {});
  assertThrows(() => plain([{ role: "user", content: "x", nested }]), DataError, "folder");
});

Deno.test("renderTranscript() and parseTranscript() are inverse to each other", () => {
  const turns = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello\n\nand welcome" },
    { role: "user", content: "Bye" },
  ];
  const text = "\n\nHuman: Hi\n\nAssistant: Hello\n\nand welcome\n\nHuman: Bye";
  assertEquals(renderTranscript(turns), text);
  assertEquals(renderTranscript(turns, { addGenerationPrompt: true }), `${text}\n\nAssistant:`);
  assertEquals(parseTranscript(`${text}\n\nAssistant:`), turns);
  assertEquals(renderTranscript(conversation.slice(0, 2)), "Be kind.\n\nHuman:  Hi ");
  assertThrows(
    () => renderTranscript([{ role: "tool", content: "x" }]),
    DataError,
    'role "tool" needs a chat template',
  );
});

// Facts from dynamic-dpo-v4 `tests/test_hh_preprocessing.py`.
Deno.test("parseTranscript() keeps blank lines inside a turn and accepts a start without them", () => {
  const text =
    "Human: Explain merge sort.\n\nAssistant: It is a divide-and-conquer algorithm.\n\n" +
    "Human: Include complexity.\n\nPlease be concise.\n\nAssistant: It runs in O(n log n) time.\n\n" +
    "It usually needs extra memory.";
  assertEquals(parseTranscript(text), [
    { role: "user", content: "Explain merge sort." },
    { role: "assistant", content: "It is a divide-and-conquer algorithm." },
    { role: "user", content: "Include complexity.\n\nPlease be concise." },
    {
      role: "assistant",
      content: "It runs in O(n log n) time.\n\nIt usually needs extra memory.",
    },
  ]);
  assertEquals(parseTranscript("no turns"), []);
  assertEquals(parseTranscript("\n\nHuman: \n\nAssistant:x \n"), [{
    role: "assistant",
    content: "x",
  }]);
});
