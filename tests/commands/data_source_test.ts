import { assert, assertEquals, assertRejects } from "@std/assert";
import { dataSources } from "../../commands/data_source.ts";
import { workerPermissions } from "../../commands/worker_permissions.ts";
import { DataError } from "../../data/error.ts";
import { parseConfig } from "../../trainer/config.ts";
import { ConfigError } from "../../trainer/error.ts";

const FILES_ALLOWED = (await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");

const parse = (dataset: Record<string, unknown>) =>
  parseConfig(JSON.stringify({ policy_name: "m", dataset }), { file: "x.yaml" });

/** A dataset's folder as a Hub's cache has it: files are links to blobs. */
function makeSet(folder: string): void {
  Deno.mkdirSync(`${folder}/blobs`, { recursive: true });
  Deno.mkdirSync(`${folder}/set/data`, { recursive: true });
  for (const split of ["train", "test"]) {
    Deno.writeTextFileSync(`${folder}/blobs/${split}`, "{}\n");
    Deno.symlinkSync(
      `${folder}/blobs/${split}`,
      `${folder}/set/data/${split}-00000-of-00001.jsonl`,
    );
  }
}

Deno.test({
  name: "names in a config become the files of splits, and held-out rows (needs files)",
  ignore: !FILES_ALLOWED || Deno.build.os === "windows",
  async fn() {
    const folder = Deno.realPathSync(await Deno.makeTempDir());
    const file = (split: string) => ({ path: `${folder}/set/data/${split}-00000-of-00001.jsonl` });
    try {
      makeSet(folder);
      const set = `${folder}/set`;
      const filesOf = async (dataset: Record<string, unknown>) => {
        const { parts, validation } = await dataSources(parse(dataset));
        const files = (source: typeof validation | typeof parts[0]["source"]) =>
          source && "files" in source ? [...source.files] : undefined;
        return { parts: parts.map(({ source }) => files(source)), held: files(validation) };
      };
      const train = [file("train")], test = [file("test")];
      assertEquals(await filesOf({ dataset_name: set }), { parts: [train], held: undefined });
      assertEquals(
        await filesOf({ dataset_name: set, subset: "test[:1]", validation_split: "train" }),
        {
          parts: [test],
          held: train,
        },
      );
      // A folder of held-out rows has them as validation, or as test.
      assertEquals(await filesOf({ dataset_name: set, validation_name: set }), {
        parts: [train],
        held: test,
      });
      const mix = [{ dataset_name: set, split: "test" }, { dataset_name: `${set}/data/*` }];
      assertEquals((await filesOf({ mix })).parts, [test, [...test, ...train]]);
      const { parts } = await dataSources(parse({ mix: [{ dataset_name: set, weight: 3 }] }));
      assertEquals([parts[0].weight, parts[0].knownAs], [3, set]);

      await assertRejects(
        () => filesOf({ dataset_name: set, split: "dev" }),
        DataError,
        "no split",
      );
      const none = { mix: [{ dataset_name: set }, { dataset_name: `${folder}/no/*.csv` }] };
      await assertRejects(() => filesOf(none), ConfigError, "dataset.mix.1.dataset_name");
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
});

Deno.test({
  name:
    "the Worker may read every set of a mix, a pattern's folder and what links in them point to " +
    "(needs files)",
  ignore: !FILES_ALLOWED || Deno.build.os === "windows",
  async fn() {
    const folder = Deno.realPathSync(await Deno.makeTempDir());
    try {
      makeSet(folder);
      const mix = [{ dataset_name: `${folder}/set` }, { dataset_name: `${folder}/other/*.csv` }];
      const { config } = parse({ mix });
      const place = {
        config: "/no/my.yaml",
        outputFolder: "/no/out",
        cacheFolder: "/no/cache",
        hub: {},
      };
      const { read } = workerPermissions(config, place);
      for (const name of ["set", "other", "blobs/train", "blobs/test"]) {
        assert((read as string[]).includes(`${folder}/${name}`), name);
      }
      assert(!(read as string[]).includes(folder));
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
});
