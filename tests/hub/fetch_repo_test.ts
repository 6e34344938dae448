// Downloads from a Hub on this machine: what is asked for, what lies in the cache, what survives a
// break.
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { HubError } from "../../hub/error.ts";
import { fetchRepo, type FetchRequest } from "../../hub/fetch_repo.ts";
import { parseRepo } from "../../hub/repo.ts";
import {
  COMMIT,
  type Fault,
  HubServer,
  LOCAL_SERVER_ALLOWED,
  modelFiles,
  NEEDS,
  type SeenRequest,
} from "./hub_server.ts";

const TOKEN = "hf_neverShownAnywhere";

interface Bench {
  readonly server: HubServer;
  readonly cache: string;
  /** Seconds that were waited, in order; nothing really waits. */
  readonly waits: number[];
  fetch(name?: string, more?: { offline?: boolean; token?: string }): ReturnType<typeof fetchRepo>;
  /** The message of the error that a fetch ends with. */
  refusal(name?: string, more?: { offline?: boolean; token?: string }): Promise<string>;
}

function hubTest(
  name: string,
  work: (bench: Bench) => Promise<void>,
  kind: "model" | "dataset" = "model",
): void {
  Deno.test({
    name: `${name} ${NEEDS}`,
    ignore: !LOCAL_SERVER_ALLOWED,
    async fn() {
      const cache = await Deno.makeTempDir();
      const server = new HubServer(kind);
      server.files = modelFiles();
      const waits: number[] = [];
      const fetch: Bench["fetch"] = (
        name = "owner/name",
        { offline = false, token = TOKEN } = {},
      ) =>
        fetchRepo(
          {
            settings: { endpoint: server.endpoint, cache, offline, token: token || undefined },
            repo: parseRepo(name, kind)!,
            wait: (seconds) => Promise.resolve(void waits.push(seconds)),
          } satisfies FetchRequest,
        );
      const refusal: Bench["refusal"] = async (...args) => {
        const { message, stack } = await assertRejects(() => fetch(...args), HubError);
        assertEquals(`${message} ${stack}`.includes(TOKEN), false);
        assertEquals(message.includes("sEcReT"), false);
        return message;
      };
      try {
        await work({ server, cache, waits, fetch, refusal });
      } finally {
        await server.close();
        await Deno.remove(cache, { recursive: true });
      }
    },
  });
}

/** A fault for requests of large files, one after the other. */
function onFiles(server: HubServer, ...faults: (Fault | undefined)[]): void {
  let n = 0;
  server.fault = ({ at }: SeenRequest) => at === "files" ? faults[n++] : undefined;
}

const NEEDED = ["config.json", "model.safetensors", "tokenizer.json"];

hubTest("a model is laid out as the Python library does, without what nobody reads", async (b) => {
  const { folder, paths, commit } = await b.fetch();
  assertEquals(commit, COMMIT);
  assertEquals([...paths].sort(), NEEDED);
  const repo = `${b.cache}/models--owner--name`;
  assertEquals(folder, `${repo}/snapshots/${COMMIT}`);
  assertEquals(Deno.readTextFileSync(`${repo}/refs/main`), COMMIT);
  assertEquals([...Deno.readDirSync(folder)].map((e) => e.name).sort(), NEEDED);
  for (const path of NEEDED) {
    assertEquals(Deno.readLinkSync(`${folder}/${path}`), `../../blobs/${b.server.etag(path)}`);
    assertEquals(Deno.readFileSync(`${folder}/${path}`), b.server.files[path]);
  }
  assertEquals([...Deno.readDirSync(`${repo}/blobs`)].length, 3);
  // One call for the commit, one for the list, one a file; the large one once more where it lies.
  assertEquals([b.server.paths("hub").length, b.server.paths("files").length], [5, 1]);
  // The token is for the Hub alone: it is not sent along to where a redirect leads.
  const tokens = new Set(
    b.server.requests.map(({ at, authorization }) => `${at} ${authorization}`),
  );
  assertEquals(tokens, new Set([`hub Bearer ${TOKEN}`, "files null"]));
});

hubTest(
  "what is there is not downloaded again: one request, none for a commit or offline",
  async (b) => {
    await b.fetch();
    const requests = () => b.server.requests.splice(0).length;
    requests();
    await b.fetch();
    assertEquals(requests(), 1);
    const pinned = await b.fetch(`owner/name@${COMMIT}`);
    assertEquals((await b.fetch("owner/name", { offline: true })).folder, pinned.folder);
    assertEquals(requests(), 0);
  },
);

hubTest("a new commit brings only what changed", async (b) => {
  await b.fetch();
  const first = b.server.sent;
  b.server.commit = "f".repeat(40);
  b.server.files["config.json"] = new TextEncoder().encode('{"model_type":"gpt2"}');
  const { folder } = await b.fetch();
  assertEquals(b.server.sent - first, b.server.files["config.json"].length);
  assertEquals(Deno.readTextFileSync(`${folder}/config.json`), '{"model_type":"gpt2"}');
});

for (const offset of [0, 1, 7, 20_000, 39_999]) {
  hubTest(
    `a connection that breaks after ${offset} bytes is gone on with from there`,
    async (b) => {
      onFiles(b.server, { breakAfter: offset });
      const { folder } = await b.fetch();
      assertEquals(
        Deno.readFileSync(`${folder}/model.safetensors`),
        b.server.files["model.safetensors"],
      );
      const ranges = b.server.requests.filter(({ at }) => at === "files").map(({ range }) => range);
      assertEquals(ranges, [null, offset === 0 ? null : `bytes=${offset}-`]);
      const needed = NEEDED.reduce((sum, path) => sum + b.server.files[path].length, 0);
      assertEquals(b.server.sent, needed);
      assertEquals(b.waits, [1]);
    },
  );
}

hubTest("a download that was given up is gone on with by the next program", async (b) => {
  onFiles(b.server, { breakAfter: 30_000 }, ...Array(4).fill({ status: 503 }));
  assertStringIncludes(await b.refusal(), "answered 503 (tried 5 times)");
  // Bytes came before the first failure; 503 has no Retry-After, so the wait doubles.
  assertEquals(b.waits, [1, 2, 4, 8]);
  b.server.fault = () => undefined;
  b.server.sent = 0;
  b.server.requests.length = 0;
  await b.fetch();
  assertEquals(b.server.requests.find(({ at }) => at === "files")?.range, "bytes=30000-");
  assertEquals(b.server.sent, 10_000);
});

hubTest("a server that does not heed ranges is believed what it says", async (b) => {
  onFiles(b.server, { breakAfter: 100 }, { wholly: true });
  const { folder } = await b.fetch();
  assertEquals(Deno.statSync(`${folder}/model.safetensors`).size, 40_000);
});

hubTest("a busy server is left alone as long as it says", async (b) => {
  let n = 0;
  b.server.fault = () => {
    n++;
    if (n === 1) return { status: 429, headers: { "retry-after": "17" } };
    return n === 2 ? { status: 503 } : undefined;
  };
  await b.fetch();
  assertEquals(b.waits, [17, 2]);
});

hubTest("a wrong checksum is tried once more, then deleted and an error", async (b) => {
  const spoil = (bytes: Uint8Array) => bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1);
  onFiles(b.server, { spoil });
  await b.fetch();
  assertEquals(b.server.paths("files").length, 2);
  await Deno.remove(`${b.cache}/models--owner--name`, { recursive: true });
  onFiles(b.server, { spoil }, { spoil });
  assertMatch(
    await b.refusal(),
    /"model\.safetensors" of "owner\/name": its checksum is wrong, twice/,
  );
  const blobs = [...Deno.readDirSync(`${b.cache}/models--owner--name/blobs`)].map((e) => e.name);
  const small = ["config.json", "tokenizer.json"].map((path) => b.server.etag(path));
  assertEquals(blobs.sort(), small.sort());
});

hubTest("a small file's checksum is git's", async (b) => {
  b.server.fault = ({ path }) =>
    path.endsWith("/config.json") ? { spoil: (bytes) => bytes.with(0, 0) } : undefined;
  assertStringIncludes(await b.refusal(), `"config.json" of "owner/name": its checksum is wrong`);
});

hubTest("a length that differs from the list's is not taken", async (b) => {
  const longer = { spoil: (bytes: Uint8Array) => new Uint8Array([...bytes, 1, 2, 3]) };
  onFiles(b.server, longer, longer);
  assertStringIncludes(await b.refusal(), "its checksum is wrong, twice");
  onFiles(b.server, { spoil: (bytes) => bytes.slice(0, 39_000) });
  await b.fetch();
  const last = b.server.requests.filter(({ at }) => at === "files").at(-1);
  assertEquals(last?.range, "bytes=39000-");
});

hubTest("names that are wrong, private or gated: what to do", async (b) => {
  const answer = (status: number, code = "") => {
    b.server.fault = () => ({ status, headers: { "x-error-code": code } });
  };
  b.server.fault = () => undefined;
  assertMatch(await b.refusal("owner/typo"), /no model of this name.*typing mistake/);
  assertMatch(await b.refusal("owner/name@v9"), /has no revision "v9"/);
  answer(404);
  assertMatch(
    await b.refusal("owner/name", { token: "" }),
    /typing mistake\? If it is private, set HF_TOKEN/,
  );
  answer(401);
  assertMatch(
    await b.refusal("owner/name", { token: "" }),
    /private, gated, or not there.*set HF_TOKEN/,
  );
  for (const status of [401, 403]) {
    answer(status, "GatedRepo");
    const message = await b.refusal("owner/name", { token: "" });
    assertStringIncludes(
      message,
      `Accept its licence on ${b.server.endpoint}/owner/name and set HF_TOKEN`,
    );
  }
  answer(403, "GatedRepo");
  assertStringIncludes(await b.refusal(), "use a token of the account that did so");
  // None of these is worth a second try.
  assertEquals([b.waits.length, b.server.requests.length], [0, 7]);
});

hubTest("a list of files that leads out of the cache is refused", async (b) => {
  b.server.files["../../evil.json"] = new Uint8Array(3);
  assertStringIncludes(await b.refusal(), "does not answer as a Hub does");
});

hubTest("a list of several pages, shards by their index", async (b) => {
  const shard = b.server.files["model.safetensors"];
  const index = {
    weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
  };
  delete b.server.files["model.safetensors"];
  b.server.files["model.safetensors.index.json"] = new TextEncoder().encode(JSON.stringify(index));
  b.server.files["model-00001-of-00002.safetensors"] = shard;
  assertStringIncludes(
    await b.refusal(),
    `names "model-00002-of-00002.safetensors", which is not there`,
  );
  b.server.files["model-00002-of-00002.safetensors"] = shard.slice(0, 5000);
  b.server.files["consolidated.safetensors"] = shard.slice(0, 6000);
  b.server.pageSize = 3;
  const { folder, paths } = await b.fetch();
  assertEquals(paths.filter((path) => path.endsWith(".safetensors")).length, 2);
  assertEquals(paths.length, 5);
  const tree = b.server.paths("hub").filter((path) => path.includes("/tree/"));
  assertEquals(tree.length, 1 + 4);
  // One of them lost: offline names it, online brings it alone.
  Deno.removeSync(Deno.realPathSync(`${folder}/model-00002-of-00002.safetensors`));
  assertMatch(
    await b.refusal("owner/name", { offline: true }),
    /there in part: the file "model-00002-of-00002\.safetensors" is missing, and HF_HUB_OFFLINE/,
  );
  b.server.sent = 0;
  await b.fetch();
  assertEquals(b.server.sent, 5000);
});

hubTest("offline, what Python's library left is enough, and what it lacks is named", async (b) => {
  assertStringIncludes(await b.refusal("owner/name", { offline: true }), "it is not, and");
  await b.fetch();
  Deno.removeSync(`${b.cache}/models--owner--name/listings`, { recursive: true });
  b.server.requests.length = 0;
  assertEquals((await b.fetch("owner/name", { offline: true })).paths.length, 3);
  Deno.removeSync(`${b.cache}/models--owner--name/snapshots/${COMMIT}/config.json`);
  assertStringIncludes(await b.refusal("owner/name", { offline: true }), "it has no config.json");
  assertEquals(b.server.requests.length, 0);
});

hubTest("a Hub out of reach is no reason not to use the cache", async (b) => {
  const first = await b.fetch();
  b.server.fault = () => ({ status: 503 });
  const { folder, notice } = await b.fetch();
  assertEquals([folder, b.waits.length], [first.folder, 0]);
  assertStringIncludes(notice!, `answered 503 (tried once)`);
});

hubTest("of a data set, its data files", async (b) => {
  b.server.files = {
    "README.md": new Uint8Array(10),
    "dataset_infos.json": new Uint8Array(10),
    "harmless/train.jsonl.gz": new Uint8Array(3000).fill(7),
    "data/test-00000-of-00001.parquet": new Uint8Array(20).fill(8),
  };
  const { folder, paths } = await b.fetch();
  assertEquals([...paths].sort(), ["data/test-00000-of-00001.parquet", "harmless/train.jsonl.gz"]);
  assertEquals(folder, `${b.cache}/datasets--owner--name/snapshots/${COMMIT}`);
  assertEquals(Deno.statSync(`${folder}/harmless/train.jsonl.gz`).size, 3000);
  Deno.removeSync(`${folder}/harmless/train.jsonl.gz`);
  assertStringIncludes(
    await b.refusal("owner/name", { offline: true }),
    `the file "harmless/train.jsonl.gz" is missing`,
  );
}, "dataset");
