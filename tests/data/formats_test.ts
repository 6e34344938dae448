import { assertEquals, assertThrows } from "@std/assert";
import { compileChatTemplate } from "../../data/chat_template.ts";
import { DataError } from "../../data/error.ts";
import {
  checkUse,
  type DataForm,
  detectForm,
  examplesPerRow,
  readRow,
  type RowUse,
  splitPair,
} from "../../data/formats.ts";

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const read = (row: Record<string, unknown>, form: DataForm, use: RowUse = "pairs") =>
  readRow(row, { form, use });

const chat = compileChatTemplate(
  "test",
  "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{{ eos_token }}\n{% endfor %}" +
    "{% if add_generation_prompt %}<assistant>{% endif %}",
  { eosToken: "</s>" },
);
const readChat = (row: Record<string, unknown>, form: DataForm, use: RowUse = "pairs") =>
  readRow(row, { form, use, chat, eosToken: "</s>" });

Deno.test("detectForm() knows the forms by their keys", () => {
  const hh = "\n\nHuman: hi\n\nAssistant: yo";
  const cases: [Record<string, unknown>, DataForm][] = [
    [{ prompt: "p", chosen: "c", rejected: "r", source: "s" }, "explicit"],
    [{ prompt_messages: [user("p")], chosen: "c", rejected: "r" }, "explicit"],
    [{ chosen: "p c", rejected: "p r" }, "implicit"],
    [{ prompt: null, chosen: [user("p"), assistant("c")], rejected: [] }, "implicit"],
    [{ chosen: hh, rejected: hh }, "hh"],
    [{ chosen: hh.trimStart(), rejected: hh }, "hh"],
    [{ prompt: "p", completion: "c" }, "completion"],
    [{ messages: [user("p"), assistant("c")] }, "messages"],
    [{ text: "t" }, "text"],
  ];
  for (const [row, form] of cases) assertEquals(detectForm(row, "f:1"), form);
  assertThrows(
    () => detectForm({ a: 1, b: 2 }, "f:1"),
    DataError,
    '"f:1": no known form in the keys "a, b"',
  );
});

Deno.test("checkUse() refuses single answers where pairs are needed", () => {
  assertThrows(() => checkUse("text", "pairs", "f:1"), DataError, "needs pairs");
  assertThrows(() => checkUse("completion", "pairs", "f:1"), DataError, "needs pairs");
  for (const form of ["text", "messages"] as const) {
    assertThrows(
      () => checkUse(form, "unpaired", "f:1"),
      DataError,
      `"f:1": the mode needs {prompt, completion, label} or pairs of chosen and rejected, the rows ` +
        `have the form "${form}"; give a dataset of such rows or another mode`,
    );
  }
  checkUse("explicit", "single", "f:1");
  for (const form of ["completion", "explicit", "implicit", "hh"] as const) {
    checkUse(form, "unpaired", "f:1");
    assertEquals(examplesPerRow(form, "unpaired"), form === "completion" ? 1 : 2);
    assertEquals(examplesPerRow(form, "single"), 1);
    assertEquals(examplesPerRow(form, "pairs"), 1);
  }
});

// The user's rule; facts from dynamic-dpo-v1 `src/data/hh_dataset.py`.
Deno.test("readRow() splits HH transcripts at the last Assistant of chosen", () => {
  const start = "\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: a joke\n\nAssistant:";
  assertEquals(read({ chosen: `${start} one`, rejected: `${start}\n two` }, "hh"), {
    prompt: start,
    answers: [" one", " two"],
  });
  // Only one newline is stripped; further turns of rejected belong to its answer.
  assertEquals(
    read({ chosen: `${start}\n\none`, rejected: `${start} 2\n\nHuman: 3\n\nAssistant: 4` }, "hh"),
    { prompt: start, answers: ["\none", " 2\n\nHuman: 3\n\nAssistant: 4"] },
  );
  const crlf = (text: string) => text.replaceAll("\n", "\r\n");
  assertEquals(read({ chosen: crlf(`${start} one`), rejected: `${start} two` }, "hh"), {
    prompt: start,
    answers: [" one", " two"],
  });
});

Deno.test("readRow() drops HH rows with unlike prompts, empty parts or no Assistant", () => {
  const start = "\n\nHuman: hi\n\nAssistant:";
  const cases: [string, string, string][] = [
    [`${start} a`, "\n\nHuman: ho\n\nAssistant: b", "unlike prompts"],
    [`${start} a`, "\n\nHuman: hi", "unlike prompts"],
    [`${start} \n`, `${start} b`, "empty answer"],
    [`${start} a`, `${start}\n\t `, "empty answer"],
    ["\n\nHuman: hi", `${start} b`, 'no "Assistant:" turn'],
  ];
  for (const [chosen, rejected, drop] of cases) {
    assertEquals(read({ chosen, rejected }, "hh"), { drop });
  }
  // Fine-tuning reads chosen only.
  assertEquals(read({ chosen: `${start} a`, rejected: "other" }, "hh", "single"), {
    prompt: start,
    answers: [" a"],
  });
});

// Facts from TRL `tests/test_data_utils.py`, TestExtractPrompt.
Deno.test("readRow() takes the common beginning of two full texts as the prompt", () => {
  const pair = (chosen: string, rejected: string) => read({ chosen, rejected }, "implicit");
  assertEquals(pair("The sky is blue.", "The sky is green."), {
    prompt: "The sky is",
    answers: [" blue.", " green."],
  });
  assertEquals(pair("2+2=4", "2+2=5"), { prompt: "2+2=", answers: ["4", "5"] });
  assertEquals(pair("same \u{1f600}", "same \u{1f601}"), {
    prompt: "same",
    answers: [" \u{1f600}", " \u{1f601}"],
  });
  assertEquals(pair("abc", "abcd"), { drop: "empty answer" });
  assertEquals(pair("abc", "abc"), { drop: "empty answer" });
  assertEquals(pair("abc", "xyz"), { drop: "empty prompt" });
  const conversation = (answer: string) => [user("What color is the sky?"), assistant(answer)];
  const row = { chosen: conversation("It is blue."), rejected: conversation("It is green.") };
  assertEquals(readChat(row, "implicit"), {
    prompt: "<user>What color is the sky?</s>\n<assistant>",
    answers: ["It is blue.</s>", "It is green.</s>"],
  });
  assertEquals(read(row, "implicit"), {
    prompt: "\n\nHuman: What color is the sky?\n\nAssistant:",
    answers: [" It is blue.", " It is green."],
  });
});

Deno.test("readRow() leaves explicit texts as they are, spaces included", () => {
  const row = { prompt: "The sky is", chosen: " blue.", rejected: " green. " };
  assertEquals(read(row, "explicit"), { prompt: "The sky is", answers: [" blue.", " green. "] });
  assertEquals(read(row, "explicit", "single"), { prompt: "The sky is", answers: [" blue."] });
});

Deno.test("readRow() reads explicit conversations in each way they are written", () => {
  const prompt = [user("hi"), assistant("yes?"), user("a joke")];
  const expected = {
    prompt: "<user>hi</s>\n<assistant>yes?</s>\n<user>a joke</s>\n<assistant>",
    answers: ["one</s>", "two</s>"],
  };
  const ways = [
    { prompt, chosen: "one", rejected: " two" },
    {
      prompt: null,
      prompt_messages: prompt,
      chosen: assistant("one"),
      rejected: [assistant("two")],
    },
    {
      prompt: "a joke",
      chosen: [...prompt, assistant("one")],
      rejected: [...prompt, assistant("two")],
    },
    {
      prompt: "\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: a joke\n\nAssistant:",
      chosen: " one",
      rejected: " two",
    },
  ];
  for (const row of ways) assertEquals(readChat(row, "explicit"), expected);
  // Without a template, blanks around an answer do not change the transcript.
  assertEquals(read({ prompt: [user("hi")], chosen: " one", rejected: "two\n" }, "explicit"), {
    prompt: "\n\nHuman: hi\n\nAssistant:",
    answers: [" one", " two"],
  });
  assertEquals(
    read({ prompt: "p", prompt_messages: prompt, chosen: "c", rejected: "r" }, "explicit"),
    { prompt: "p", answers: ["c", "r"] },
  );
  assertEquals(readChat({ prompt: "hi", chosen: "one", rejected: "two" }, "explicit"), {
    prompt: "<user>hi</s>\n<assistant>",
    answers: ["one</s>", "two</s>"],
  });
});

Deno.test("readRow() goes on in the open turn of a prompt that ends with the assistant", () => {
  const row = { prompt: [user("sky?"), assistant("It is")], chosen: " blue", rejected: " green" };
  assertEquals(readChat(row, "explicit"), {
    prompt: "<user>sky?</s>\n<assistant>It is",
    answers: [" blue</s>", " green</s>"],
  });
  assertEquals(read(row, "explicit"), {
    prompt: "\n\nHuman: sky?\n\nAssistant: It is",
    answers: [" blue", " green"],
  });
});

Deno.test("readRow() renders HH transcripts by a chat template", () => {
  const start = "\n\nHuman: hi\n\nplease\n\nAssistant:";
  assertEquals(readChat({ chosen: `${start} a`, rejected: `${start} b` }, "hh"), {
    prompt: "<user>hi\n\nplease</s>\n<assistant>",
    answers: ["a</s>", "b</s>"],
  });
});

Deno.test("readRow() reads single answers", () => {
  assertEquals(read({ prompt: "a", completion: "b" }, "completion", "single"), {
    prompt: "a",
    answers: ["b"],
  });
  assertEquals(read({ text: "all" }, "text", "single"), { prompt: "", answers: ["all"] });
  const messages = [user("a"), assistant("b"), user("c"), assistant("d"), user("e")];
  assertEquals(readChat({ messages }, "messages", "single"), {
    prompt: "<user>a</s>\n<assistant>b</s>\n<user>c</s>\n<assistant>",
    answers: ["d</s>"],
  });
});

Deno.test("readRow() reads labels true, false, 1 and 0, and nothing that only looks like one", () => {
  const row = { prompt: "a", completion: "b" };
  for (const [label, value] of [[true, 1], [false, 0], [1, 1], [0, 0]] as const) {
    assertEquals(read({ ...row, label }, "completion", "unpaired"), {
      prompt: "a",
      answers: ["b"],
      label: value,
    });
  }
  const missing = { drop: '"label" is missing' };
  assertEquals(read(row, "completion", "unpaired"), missing);
  assertEquals(read({ ...row, label: null }, "completion", "unpaired"), missing);
  const inherited = Object.assign(Object.create({ label: 1 }), row);
  assertEquals(read(inherited, "completion", "unpaired"), missing);
  for (const label of ["yes", "true", "1", "", 2, -1, 0.5, [], [1], {}, { label: 1 }]) {
    assertEquals(read({ ...row, label }, "completion", "unpaired"), {
      drop: '"label" is not true, false, 1 or 0',
    });
  }
  // Fine-tuning has no use for labels, so it does not judge them.
  for (const label of [undefined, null, "yes", 2, 0]) {
    assertEquals(read({ ...row, label }, "completion", "single"), { prompt: "a", answers: ["b"] });
  }
});

Deno.test("readRow() renders a labelled row as the same row without its label", () => {
  const prompt = [user("hi"), assistant("yes?"), user("a joke")];
  const rows = [
    { prompt, completion: "one" },
    { prompt, completion: [assistant("one")] },
    { prompt: null, prompt_messages: prompt, completion: assistant("one") },
    { prompt: "hi", completion: " one " },
    { prompt: "", completion: "one" },
    { prompt: "hi", completion: "\n" },
    { prompt: "hi", completion: [] },
    { prompt: "hi" },
  ];
  for (const readOne of [read, readChat]) {
    for (const row of rows) {
      const single = readOne(row, "completion", "single");
      assertEquals(
        readOne({ ...row, label: false }, "completion", "unpaired"),
        "drop" in single ? single : { ...single, label: 0 },
      );
    }
  }
  assertEquals(readChat({ ...rows[1], label: 1 }, "completion", "unpaired"), {
    prompt: "<user>hi</s>\n<assistant>yes?</s>\n<user>a joke</s>\n<assistant>",
    answers: ["one</s>"],
    label: 1,
  });
});

Deno.test("readRow() reads a pair for unpaired use as it does for pairs, whatever label is beside it", () => {
  const hh = "\n\nHuman: hi\n\nAssistant:";
  const rows: [Record<string, unknown>, DataForm][] = [
    [{ prompt: "p", chosen: "c", rejected: "r" }, "explicit"],
    [{ prompt: " ", chosen: "c", rejected: "r" }, "explicit"],
    [{ prompt: "p", chosen: "c", rejected: " " }, "explicit"],
    [{ prompt: "p", chosen: "c" }, "explicit"],
    [{ chosen: "p c", rejected: "p r" }, "implicit"],
    [{ chosen: "c", rejected: "r" }, "implicit"],
    [{ chosen: [user("p"), assistant("c")], rejected: [user("p"), assistant("r")] }, "implicit"],
    [{ chosen: `${hh} c`, rejected: `${hh} r` }, "hh"],
    [{ chosen: `${hh} c`, rejected: "other" }, "hh"],
  ];
  for (const [row, form] of rows) {
    assertEquals(read({ ...row, label: "yes" }, form, "unpaired"), read(row, form, "pairs"));
  }
  assertEquals(splitPair({ prompt: "p", answers: ["c", "r"] }), [
    { prompt: "p", answers: ["c"], label: 1 },
    { prompt: "p", answers: ["r"], label: 0 },
  ]);
});

Deno.test("readRow() gives each unusable row a reason", () => {
  const pair = { prompt: "p", chosen: "c", rejected: "r" };
  const broken = compileChatTemplate("t", "{{ raise_exception('roles must alternate') }}", {});
  const cases: [Record<string, unknown>, DataForm, RowUse, string][] = [
    [{ ...pair, rejected: undefined }, "explicit", "pairs", '"rejected" is missing'],
    [{ ...pair, chosen: null }, "explicit", "pairs", '"chosen" is missing'],
    [{ ...pair, chosen: 5 }, "explicit", "pairs", '"chosen" is neither text nor messages'],
    [{ ...pair, chosen: [{ role: "user" }] }, "explicit", "pairs", "is neither text nor messages"],
    [{ ...pair, prompt: " " }, "explicit", "pairs", "empty prompt"],
    [{ ...pair, chosen: "\n" }, "explicit", "pairs", "empty answer"],
    [{ ...pair, chosen: [] }, "explicit", "pairs", "several messages in an answer"],
    [{ ...pair, prompt: [] }, "explicit", "pairs", "empty prompt"],
    [{ ...pair, prompt: [{ role: "tool", content: "x" }] }, "explicit", "pairs", 'role "tool"'],
    [{ chosen: "a", rejected: [assistant("b")] }, "implicit", "pairs", "beside a conversation"],
    [{ messages: [user("a")] }, "messages", "single", "no assistant message"],
    [{ messages: "a" }, "messages", "single", "no conversation"],
    [{ text: " " }, "text", "single", "empty answer"],
    [{ text: [user("a")] }, "text", "single", '"text" is not text'],
  ];
  for (const [row, form, use, reason] of cases) {
    const result = read(row, form, use) as { drop: string };
    assertEquals(result.drop?.includes(reason), true, `${JSON.stringify(result)}: ${reason}`);
  }
  const refused = readRow(pair, { form: "explicit", use: "pairs", chat: broken });
  assertEquals("drop" in refused && refused.drop.includes("roles must alternate"), true);
});

Deno.test("readRow() replaces lone surrogates, which no encoding has", () => {
  assertEquals(read({ prompt: "a\ud800", chosen: "\udc00b", rejected: "c" }, "explicit"), {
    prompt: "a\ufffd",
    answers: ["\ufffdb", "c"],
  });
});
