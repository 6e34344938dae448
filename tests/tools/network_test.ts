import { assertEquals } from "@std/assert";
import { DEFAULT_BASE_URL } from "../../report/wandb/settings.ts";
import { networkPermission } from "../../tools/network.ts";

Deno.test("a run listens on this machine, and reaches its W&B server alone", () => {
  const own = "--allow-net=127.0.0.1,0.0.0.0,[::1],[::]";
  const of = (env: Record<string, string>) => {
    const permission = networkPermission((name) => ({ HF_HUB_OFFLINE: "1", ...env })[name]);
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

Deno.test("a command may reach the Hub's hosts until its downloads are done, offline none", () => {
  const of = (env: Record<string, string>) => networkPermission((name) => env[name], "hub");
  assertEquals(of({ HF_HUB_OFFLINE: "1" }), "--deny-net");
  const [own, ...domains] = of({}).slice("--allow-net=".length).split(",");
  const domain = `*.${own.slice(0, own.indexOf(":")).split(".").at(-1)}:443`;
  assertEquals(domains, [domain]);
  assertEquals(
    of({ HF_ENDPOINT: "https://mirror.example/hub/", HF_FILE_HOSTS: "a.b:9, *" }),
    `--allow-net=mirror.example:443,*.example:443,${domain},a.b:9`,
  );
  assertEquals(of({ HF_ENDPOINT: "http://127.0.0.1:81" }), `--allow-net=127.0.0.1:81,${domain}`);
  // What is no address opens nothing; the command says why.
  assertEquals(of({ HF_ENDPOINT: "*" }), "--deny-net");
});
