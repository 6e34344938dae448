/** Kernels that were measured once are taken again: from the cache, and before it from beside the run. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { chooseKernels, TUNING_FILE } from "../../commands/tuning.ts";
import { openGpu } from "../../gpu/device.ts";
import { isMeasured, type Tuning } from "../../gpu/tuning.ts";
import { SMALL } from "../model/small_engine.ts";

const gpu = await openGpu();
Deno.test.afterAll(() => gpu.destroy());
const canWrite = (await Deno.permissions.query({ name: "write" })).state === "granted";

interface Chosen {
  readonly tuning: Tuning | undefined;
  readonly notices: string[];
  readonly save: (folder: string) => void;
}

async function choose(
  setting: "auto" | "measure" | "off",
  cacheFolder: string,
  resumedFolder?: string,
): Promise<Chosen> {
  const notices: string[] = [];
  gpu.tuning = undefined;
  const { save } = await chooseKernels(gpu, SMALL, {
    setting,
    places: { cacheFolder, resumedFolder },
    events: { accept: (event) => event.type === "notice" && notices.push(event.text) },
  });
  const { tuning } = gpu;
  gpu.tuning = undefined;
  return { tuning, notices, save };
}

Deno.test("nothing is measured or written where kernels are off, or known already", async () => {
  const nowhere = "/nowhere/at/all";
  for (const setting of isMeasured(gpu) ? ["off", "auto"] as const : ["off"] as const) {
    const { tuning, notices, save } = await choose(setting, nowhere);
    assertEquals([tuning, notices], [undefined, []]);
    save(nowhere);
  }
});

Deno.test({
  name: "kernels are measured once, kept, and taken from beside a run that goes on",
  ignore: !canWrite,
  async fn() {
    const cache = await Deno.makeTempDir(), run = await Deno.makeTempDir();
    try {
      const first = await choose("measure", cache);
      assertStringIncludes(first.notices.join("\n"), "Measured ");
      assertEquals(Object.keys(first.tuning!.tiles).length, 3, "narrow products in three forms");
      const again = await choose("measure", cache);
      assertEquals(again.notices, [], "known from the cache");
      assertEquals(again.tuning, first.tuning);

      // Beside the run lies another choice, for the same adapter: it is the one that counts.
      again.save(run);
      const path = `${run}/${TUNING_FILE}`;
      const saved = JSON.parse(await Deno.readTextFile(path));
      const textures = !saved.textures;
      await Deno.writeTextFile(path, JSON.stringify({ ...saved, textures }));
      assertEquals((await choose("measure", cache, run)).tuning!.textures, textures);
      // Made by another program or adapter, it does not.
      await Deno.writeTextFile(path, JSON.stringify({ ...saved, textures, key: "another" }));
      assertEquals((await choose("measure", cache, run)).tuning, first.tuning);
    } finally {
      await Deno.remove(cache, { recursive: true });
      await Deno.remove(run, { recursive: true });
    }
  },
});

Deno.test({
  name: "a damaged file of kernels is said to be, and written anew",
  ignore: !canWrite,
  async fn() {
    const cache = await Deno.makeTempDir();
    try {
      await choose("measure", cache);
      const [{ name }] = [...Deno.readDirSync(`${cache}/kernels`)];
      const path = `${cache}/kernels/${name}`, whole = await Deno.readTextFile(path);
      const wrong = JSON.stringify({ ...JSON.parse(whole), tiles: { "NT narrow": { rows: 7 } } });
      for (const text of [whole.slice(0, -9), wrong]) {
        await Deno.writeTextFile(path, text);
        const { notices, tuning } = await choose("measure", cache);
        assertStringIncludes(notices[0], path);
        assert(tuning !== undefined && JSON.parse(await Deno.readTextFile(path)).key !== undefined);
      }
    } finally {
      await Deno.remove(cache, { recursive: true });
    }
  },
});
