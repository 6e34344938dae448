import { assertEquals } from "@std/assert";
import { DEFAULT_BASE_URL } from "../../report/wandb/settings.ts";
import { networkPermission } from "../../tools/network.ts";

Deno.test("a run listens on this machine, and reaches its W&B server alone", () => {
  const own = "--allow-net=127.0.0.1,0.0.0.0,[::1],[::]";
  const of = (env: Record<string, string>) => {
    const permission = networkPermission((name) => env[name]);
    assertEquals(permission.slice(0, own.length), own);
    return permission.slice(own.length);
  };
  const key = { WANDB_API_KEY: "k" };
  assertEquals(of({}), "");
  assertEquals(of({ ...key, WANDB_MODE: "offline" }), "");
  assertEquals(of({ ...key, WANDB_MODE: "disabled" }), "");
  assertEquals(of(key), `,${new URL(DEFAULT_BASE_URL).host}:443`);
  assertEquals(
    of({ ...key, WANDB_BASE_URL: "http://127.0.0.1:8080/" }),
    ",127.0.0.1:8080",
  );
  // What is no address opens nothing; the run says why.
  assertEquals(of({ ...key, WANDB_BASE_URL: "*" }), "");
  assertEquals(
    of({ ...key, WANDB_BASE_URL: "https://h.example/?,other.example" }),
    ",h.example:443",
  );
});
