import { assertStringIncludes } from "@std/assert";
import { messageOf, parseWith } from "./minimal.ts";

Deno.test("a bad slice is refused with its line", () => {
  assertStringIncludes(
    messageOf(() => parseWith("  subset: train[:130%]\n")),
    'line 4, key "dataset.subset": expected percentages from -100 to 100, got the text "train[:130%]"',
  );
});
