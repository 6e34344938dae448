import { assert, assertEquals } from "@std/assert";
import { workerPermissions } from "../../commands/worker_permissions.ts";
import { parseWith } from "../config/minimal.ts";

const FILES_ALLOWED = (await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");

/** The permissions of a run with these inputs, as text. */
function permissionsOf(inputs: Record<string, string>, outputFolder: string) {
  const overrides = Object.entries(inputs).map(([key, value]) => `${key}=${value}`);
  const { config } = parseWith("", overrides);
  const place = { config: "/no/my.yaml", outputFolder, cacheFolder: "/no/cache", hub: {} };
  const { read, write, ...rest } = workerPermissions(config, place);
  const text = (list: unknown) => (list as (string | URL)[]).map(String);
  return { read: text(read), write: text(write), rest };
}

Deno.test({
  name: "the Worker may read what the config names, write output and cache, and nothing else " +
    "(needs files)",
  ignore: !FILES_ALLOWED,
  fn() {
    const inputs = {
      "policy_name": "/no/model",
      "ref_name": "/no/other",
      "dataset.dataset_name": "/no/rows.jsonl",
      "dataset.validation_name": "examples/no.jsonl",
      "dataset.chat_template": "/no/chat.jinja",
    };
    const { read, write, rest } = permissionsOf(inputs, "/no/runs/a");
    const here = Deno.realPathSync(".");
    const project = new URL("../../examples/no.jsonl", import.meta.url);
    assertEquals(
      new Set(read),
      new Set([
        "/no/my.yaml",
        "/no/model",
        "/no/other",
        "/no/rows.jsonl",
        "/no/chat.jinja",
        // A name below examples/ is looked for in the project as well.
        "examples/no.jsonl",
        `${here}/examples/no.jsonl`,
        project.href,
        Deno.realPathSync(new URL("../../", import.meta.url)) + "/examples/no.jsonl",
        "/no/runs/a",
        "/no/cache",
      ]),
    );
    assertEquals(write, ["/no/runs/a", "/no/cache"]);
    assertEquals(rest, {
      env: false,
      ffi: false,
      import: false,
      net: false,
      run: false,
      sys: false,
    });
  },
});

Deno.test({
  name:
    "a model of links may be read where they point to, a link in the output not written (needs files)",
  ignore: !FILES_ALLOWED || Deno.build.os === "windows",
  async fn() {
    const folder = Deno.realPathSync(await Deno.makeTempDir());
    try {
      for (const name of ["blobs", "model", "out", "elsewhere"]) {
        Deno.mkdirSync(`${folder}/${name}`);
      }
      Deno.writeTextFileSync(`${folder}/blobs/1`, "");
      Deno.symlinkSync("../blobs/1", `${folder}/model/model.safetensors`);
      Deno.symlinkSync(`${folder}/model`, `${folder}/named`);
      Deno.symlinkSync(`${folder}/elsewhere`, `${folder}/out/final`);
      const { read, write } = permissionsOf({ policy_name: `${folder}/named` }, `${folder}/out`);
      for (const place of ["named", "model", "blobs/1"]) {
        assert(read.includes(`${folder}/${place}`));
      }
      assert(![...read, ...write].includes(`${folder}/elsewhere`));
      // One that does not exist yet lies where the folder above it does.
      const later = permissionsOf({}, `${folder}/named/runs/a`);
      assertEquals(later.write[1], `${folder}/model/runs/a`);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
});
