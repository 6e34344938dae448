import { assertEquals } from "@std/assert";
import { findLongFiles, LINE_LIMIT } from "../../tools/check_size.ts";

Deno.test("files over the limit are listed, longest first; tests and other kinds are exempt", () => {
  const lines = (count: number) => "x\n".repeat(count);
  const files = new Map([
    ["gpu/just_fits.ts", lines(LINE_LIMIT)],
    ["gpu/long.ts", lines(LINE_LIMIT + 1)],
    ["gpu/kernels/longer.wgsl", lines(LINE_LIMIT + 5)],
    ["gpu/unfinished_line.ts", lines(LINE_LIMIT) + "x"],
    ["tests/gpu/table_test.ts", lines(2000)],
    ["data/words.json", lines(2000)],
  ]);
  assertEquals(LINE_LIMIT, 400);
  assertEquals(findLongFiles(files), [
    ["gpu/kernels/longer.wgsl", 405],
    ["gpu/long.ts", 401],
    ["gpu/unfinished_line.ts", 401],
  ]);
});
