// What a run may reach while it downloads, and afterwards.
import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { networkPermission } from "../../tools/network.ts";

const MAY_RUN = (await Deno.permissions.query({ name: "run" })).state === "granted";

/** Of `hosts` those that may be reached before and after, under the permission of the task. */
async function reach(env: Record<string, string>, hosts: readonly string[]): Promise<string[][]> {
  const script = fileURLToPath(new URL("given_back.ts", import.meta.url));
  const permission = networkPermission((name) => env[name]);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", permission, script, JSON.stringify(env), ...hosts],
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  name: "after its downloads a run reaches its page's addresses and W&B alone (needs --allow-run)",
  ignore: !MAY_RUN,
  async fn() {
    const page = ["127.0.0.1:8420", "[::1]:8420"];
    const hub = ["mirror.example:443", "files.mirror.example:443", "store.example:443"];
    const never = ["store.example:80", "elsewhere.invalid:443"];
    const env = { HF_ENDPOINT: "https://mirror.example", WANDB_API_KEY: "k" };
    const wandb = { ...env, WANDB_BASE_URL: "https://board.example" };
    const all = [...page, "board.example:443", ...hub, ...never];
    assertEquals(await reach(wandb, all), [[...page, "board.example:443", ...hub], [
      ...page,
      "board.example:443",
    ]]);
    // One server for both: it stays, and what lies below its domain does not.
    const both = { ...env, WANDB_BASE_URL: "https://mirror.example" };
    assertEquals((await reach(both, all))[1], [...page, "mirror.example:443"]);
    const local = { HF_ENDPOINT: "http://127.0.0.1:8420" };
    assertEquals(await reach(local, [...page, ...hub]), [page, page]);
  },
});
