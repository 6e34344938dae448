import { assertEquals } from "@std/assert";
import { workerPermissions } from "../../commands/worker_permissions.ts";
import { parseWith } from "../config/minimal.ts";

Deno.test("the Worker may read what the config names, write output and cache, and nothing else", () => {
  const { config } = parseWith("ref_name: other/model\n", [
    "policy_name=my/model",
    "dataset.dataset_name=rows.jsonl",
    "dataset.validation_name=examples/held.jsonl",
  ]);
  const place = { config: "my.yaml", outputFolder: "runs/a", cacheFolder: "/home/me/.cache/x" };
  const { read, write, ...rest } = workerPermissions(config, place);
  const project = new URL("../../", import.meta.url);
  assertEquals((read as (string | URL)[]).map(String), [
    "my.yaml",
    "my/model",
    "other/model",
    "rows.jsonl",
    // A name below examples/ is looked for in the project as well.
    "examples/held.jsonl",
    new URL("examples/held.jsonl", project).href,
    "runs/a",
    "/home/me/.cache/x",
  ]);
  assertEquals(write, ["runs/a", "/home/me/.cache/x"]);
  assertEquals(rest, {
    env: false,
    ffi: false,
    import: false,
    net: false,
    run: false,
    sys: false,
  });
});
