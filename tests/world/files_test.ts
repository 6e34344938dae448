import { assertEquals } from "@std/assert";
import { worldFiles } from "../../tools/world/main.ts";

const MAY_READ = (await Deno.permissions.query({ name: "read" })).state === "granted";

Deno.test({
  name: "examples/world/ holds what deno task world --data-only writes (needs --allow-read)",
  ignore: !MAY_READ,
  fn: () => {
    const files = worldFiles();
    assertEquals(files.size, 8);
    for (const [name, text] of files) {
      assertEquals(Deno.readTextFileSync(`examples/world/${name}`), text, name);
    }
  },
});
