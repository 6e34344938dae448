import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../commands/exit_code.ts";
import { newModeText, newNameProblem, run } from "../../commands/new_mode.ts";
import { withFolder } from "../e2e/program.ts";

const mayWrite = (await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");

Deno.test("names that are paths, keys of the config, built in or too long are refused", () => {
  const refused = ["", "Dpo", "../x", "a-b", "1a", "mod", "dpo", "dataset", "a".repeat(65)];
  for (const name of refused) assertEquals(typeof newNameProblem(name), "string", name);
  for (const name of ["my_mode", "x2", "a".repeat(64)]) {
    assertEquals(newNameProblem(name), undefined);
  }
});

Deno.test("the new file carries its name everywhere, and a variable that is no word", () => {
  const text = newModeText("two_words");
  assertEquals(text.includes('name: "two_words"'), true);
  assertEquals(text.includes("const twoWords: LossMode"), true);
  assertEquals(/my_?mode/i.test(text), false);
  assertEquals(newModeText("class").includes("const classMode: LossMode"), true);
  assertEquals(newModeText("do_").includes("const do: "), false);
});

Deno.test({
  name: "new-mode writes a file once and never over another (needs read and write permission)",
  ignore: !mayWrite,
  fn: () =>
    withFolder(async (path) => {
      const folder = new URL(`file://${path}/`);
      const log = console.log;
      console.log = () => {};
      try {
        assertEquals(await run(["my_mode"], folder), 0);
      } finally {
        console.log = log;
      }
      const file = `${path}/my_mode.ts`;
      assertEquals(Deno.readTextFileSync(file), newModeText("my_mode"));
      Deno.writeTextFileSync(file, "mine");
      await assertRejects(() => run(["my_mode"], folder), UsageError, "is there already");
      assertEquals(Deno.readTextFileSync(file), "mine");
    }),
});
