// Names of a config: a path goes before the Hub, and a run that goes on keeps its commits.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fetchHubInputs } from "../../commands/hub_inputs.ts";
import { readPins, writePins } from "../../commands/hub_pins.ts";
import { HubError } from "../../hub/error.ts";
import { COMMIT, HubServer, LOCAL_SERVER_ALLOWED, modelFiles, NEEDS } from "./hub_server.ts";

Deno.test({
  name: `names of a config become places; commits that were noted stay ${NEEDS}`,
  ignore: !LOCAL_SERVER_ALLOWED,
  async fn() {
    const folder = await Deno.makeTempDir();
    const server = new HubServer();
    server.files = modelFiles();
    const totals = new Set<number>();
    const fetch = (policy_name: string, dataset_name: string, pins = {}) =>
      fetchHubInputs(
        { policy_name, ref_name: policy_name, dataset: { dataset_name } } as Parameters<
          typeof fetchHubInputs
        >[0],
        {
          env: (name) => ({ HF_ENDPOINT: server.endpoint, HF_HOME: folder })[name],
          events: { accept: (event) => event.type === "progress" && totals.add(event.total) },
          pins,
        },
      );
    try {
      // examples/model is a folder of the project: no request at all.
      assertEquals(await fetch("examples/model", "examples/preferences.jsonl"), {});
      assertEquals(server.requests.length, 0);
      const first = await fetch("owner/name", "/no/rows.jsonl");
      assertEquals(Object.keys(first), ["owner/name"]);
      assertEquals([...totals], [41]);
      writePins(folder, first);
      assertEquals(readPins(folder), { "owner/name": COMMIT });
      server.commit = "e".repeat(40);
      server.requests.length = 0;
      assertEquals(await fetch("owner/name", "/no", readPins(folder)), first);
      assertEquals(server.requests.length, 0);
      assertEquals((await fetch("owner/name", "/no"))["owner/name"].commit, server.commit);
      await assertRejects(() => fetch("owner/name", "owner/name"), HubError, "both as a model and");
      Deno.writeTextFileSync(`${folder}/hub.json`, '{"owner/name": "main"}');
      assertThrows(() => readPins(folder), HubError, "it is not what training wrote");
    } finally {
      await server.close();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
