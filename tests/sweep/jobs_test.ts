import { assertEquals } from "@std/assert";
import { jsonLinesOf } from "../../tools/sweep/protocol.ts";
import { readArgs } from "../../tools/sweep/main.ts";

Deno.test("lines of a pipe are parsed wherever its pieces end", async () => {
  const text = '{"name":"a"}\n{"name":"ü"}\n';
  const bytes = new TextEncoder().encode(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes.slice(0, cut));
        controller.enqueue(bytes.slice(cut));
        controller.close();
      },
    });
    const found = [];
    for await (const line of jsonLinesOf<{ name: string }>(stream)) found.push(line.name);
    assertEquals(found, ["a", "ü"]);
  }
});

Deno.test("arguments of sweep", () => {
  assertEquals(readArgs(["s.yaml", "--jobs", "2", "--quick"]), {
    path: "s.yaml",
    out: undefined,
    jobs: 2,
    quick: true,
    table: false,
  });
  for (const wrong of [[], ["a", "b"], ["a", "--jobs", "0"], ["a", "--jobs", "x"], ["a", "--no"]]) {
    let message = "";
    try {
      readArgs(wrong);
    } catch (error) {
      message = (error as Error).message;
    }
    assertEquals(message.startsWith("sweep: "), true, wrong.join(" "));
  }
});
