// A data set of the Hub is the known one of its name, whichever revision is asked for.
import { assertEquals } from "@std/assert";
import { dataSources } from "../../commands/data_source.ts";
import { parseWith } from "../config/minimal.ts";

const FILES_ALLOWED = (await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");

const ID = "HuggingFaceH4/ultrafeedback_binarized";
const SPLITS = ["train_prefs", "train_sft", "train_gen", "test_prefs", "test_sft"];

Deno.test({
  name: "a revision does not hide a known set: its own split is read (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    const path = await Deno.makeTempDir();
    try {
      Deno.mkdirSync(`${path}/data`);
      const file = (split: string) => `data/${split}-00000-of-00001.parquet`;
      for (const split of SPLITS) Deno.writeTextFileSync(`${path}/${file(split)}`, "");
      for (const name of [ID, `${ID}@main`, `${ID}@refs/convert/parquet`]) {
        const parsed = parseWith("", [`dataset.dataset_name=${name}`]);
        const hub = { [name]: { path, repo: path, commit: "0".repeat(40) } };
        const { parts: [{ knownAs, source }] } = await dataSources(parsed, hub);
        assertEquals(knownAs, ID);
        assertEquals("files" in source && source.files, [{
          path: `${path}/${file("train_prefs")}`,
        }]);
      }
    } finally {
      await Deno.remove(path, { recursive: true });
    }
  },
});
