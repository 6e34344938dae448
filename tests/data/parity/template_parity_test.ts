/**
 * Chat templates against Python's Jinja2 as transformers sets it up (make_templates.py): the text of
 * each of 1,000 conversations, or a refusal where Python refuses.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { compileChatTemplate } from "../../../data/chat_template.ts";
import { DataError } from "../../../data/error.ts";
import { chooseTemplate, NAMED_TEMPLATES } from "../../../data/named_templates.ts";
import { tinyTokenizer } from "../tiny_tokenizer.ts";
import { parityConversation } from "./conversations.ts";
import features from "./templates/features.jinja" with { type: "text" };
import goldens from "./templates.json" with { type: "json" };
import { fnv } from "./texts.ts";

const CONVERSATIONS = 1000;
const templates: Readonly<Record<string, string>> = { ...NAMED_TEMPLATES, features };

interface Golden {
  /** Eight hexadecimal digits a conversation, or `--------` where rendering is refused. */
  readonly hashes: string;
  /** Texts of the first conversations. */
  readonly shown: readonly (string | null)[];
}

Deno.test("template parity: there is a golden for each template", () => {
  assertEquals(Object.keys(goldens).sort(), Object.keys(templates).sort());
});

for (const [name, template] of Object.entries(templates)) {
  const golden = (goldens as Record<string, Golden>)[name];
  Deno.test(`template parity, ${name}: ${CONVERSATIONS} conversations are as Jinja2 renders them`, () => {
    const render = compileChatTemplate(name, template, { bosToken: "<s>", eosToken: "</s>" });
    const unlike: number[] = [];
    let refused = 0;
    for (let index = 0; index < CONVERSATIONS; index++) {
      const { messages, tools } = parityConversation(index);
      const options = { addGenerationPrompt: index % 2 === 0, tools };
      const hash = golden.hashes.slice(8 * index, 8 * index + 8);
      if (hash === "--------") {
        assertThrows(() => render(messages, options), DataError, "must take turns");
        refused++;
        continue;
      }
      const text = render(messages, options);
      if (index < golden.shown.length) assertEquals(text, golden.shown[index]);
      const bytes = new TextEncoder().encode(text);
      if (fnv(bytes).toString(16).padStart(8, "0") !== hash) unlike.push(index);
    }
    assertEquals(unlike, []);
    assert(refused < CONVERSATIONS / 4);
  });
}

Deno.test("chooseTemplate() takes the model's own, one of its names, a named one or a file", () => {
  const list = [{ name: "default", template: "D" }, { name: "rag", template: "R" }];
  const own = tinyTokenizer({ config: { chat_template: list } });
  const bare = tinyTokenizer();
  const file = (path: string) => path === "my.jinja" ? "F{{ eos_token }}" : undefined;
  const text = (setting: boolean | string, tokenizer = own) =>
    chooseTemplate(setting, tokenizer, file)?.([{ role: "user", content: "a" }]);
  assertEquals(text(false), undefined);
  assertEquals(text(true), "D");
  assertEquals(text("rag"), "R");
  assertEquals(text("my.jinja", bare), "F</s>");
  assertEquals(text("chatml", bare), "<|im_start|>user\na<|im_end|>\n");
  assertThrows(() => text(true, bare), DataError, "has no chat template, or none named");
  assertThrows(
    () => text("chatlm"),
    DataError,
    'Reading chat template "chatlm": there is no such file, and no template of that name; names ' +
      "are chatml, gemma, llama3, mistral, qwen, zephyr, default, rag",
  );
});
