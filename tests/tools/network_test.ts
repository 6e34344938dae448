import { assertEquals } from "@std/assert";
import { networkPermission } from "../../tools/network.ts";

Deno.test("a run has no network, or that of its W&B server alone", () => {
  const of = (env: Record<string, string>) => networkPermission((name) => env[name]);
  const key = { WANDB_API_KEY: "k" };
  assertEquals(of({}), "");
  assertEquals(of({ ...key, WANDB_MODE: "offline" }), "");
  assertEquals(of({ ...key, WANDB_MODE: "disabled" }), "");
  assertEquals(of(key), "--allow-net=api.wandb.ai:443");
  assertEquals(
    of({ ...key, WANDB_BASE_URL: "http://127.0.0.1:8080/" }),
    "--allow-net=127.0.0.1:8080",
  );
  // What is no address opens nothing; the run says why.
  assertEquals(of({ ...key, WANDB_BASE_URL: "*" }), "");
  assertEquals(
    of({ ...key, WANDB_BASE_URL: "https://h.example/?,other.example" }),
    "--allow-net=h.example:443",
  );
});
