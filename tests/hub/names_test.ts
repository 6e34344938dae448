// Names, settings and the choice of files: nothing here reaches a network or a file.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { chooseFiles, lacking, shardNames } from "../../hub/choose_files.ts";
import { HubError, shown, writingError } from "../../hub/error.ts";
import { parseRepo, repoFolder, repoName, snapshotFolder } from "../../hub/repo.ts";
import { retryAfter, waitBefore } from "../../hub/request.ts";
import { hubSettings } from "../../hub/settings.ts";

Deno.test("owner/name@revision is a name, a path is not", () => {
  assertEquals(parseRepo("a/b", "model"), { kind: "model", id: "a/b", revision: "main" });
  assertEquals(parseRepo("A-1/b.c_2@refs/pr/3", "model")?.revision, "refs/pr/3");
  for (
    const path of [
      "a",
      "/a/b",
      "./a/b",
      "../a",
      "a/b/c",
      "a//b",
      "a/b.git",
      "a/..",
      "a/b@",
      "a/b@../c",
    ]
      .concat(["a/b@x/../y", "a--b/c", "~/a", "a/b c", ""])
      // Paths with a typing mistake, of which no server is to hear.
      .concat(["data/train.jsonl", "data/train.jsonl.gz", "m/q8.GGUF", "examples/modle", "runs/a"])
  ) assertEquals(parseRepo(path, "model"), undefined, path);
  const repo = parseRepo("a/b@v1", "dataset")!;
  assertEquals([repoName(repo), repoFolder("/c", repo)], ["a/b@v1", "/c/datasets--a--b"]);
  assertEquals(snapshotFolder("/c", repo, "f00"), "/c/datasets--a--b/snapshots/f00");
});

Deno.test("the settings are those of the Hub's own library", () => {
  const of = (env: Record<string, string>, files: Record<string, string> = {}) =>
    hubSettings((name) => env[name], (path) => files[path]);
  const cacheOf = (env: Record<string, string>) => {
    const settings = of(env);
    return "cache" in settings && settings.cache;
  };
  assertEquals(cacheOf({ HOME: "/h" }), "/h/.cache/huggingface/hub");
  assertEquals(cacheOf({ HOME: "/h", XDG_CACHE_HOME: "/x" }), "/x/huggingface/hub");
  assertEquals(cacheOf({ HOME: "/h", HF_HOME: "/f" }), "/f/hub");
  assertEquals(cacheOf({ HF_HOME: "/f", HF_HUB_CACHE: "/c" }), "/c");
  const own = { HF_HOME: "/f", HF_ENDPOINT: "http://127.0.0.1:8/" };
  assertEquals(of(own, { "/f/token": "hf_file\n" }), {
    endpoint: "http://127.0.0.1:8",
    cache: "/f/hub",
    offline: false,
    token: "hf_file",
  });
  const both = of({ ...own, HF_TOKEN: "hf_env", HF_HUB_OFFLINE: "1" }, { "/f/token": "hf_file" });
  assertEquals("token" in both && [both.token, both.offline], ["hf_env", true]);
  assertEquals("why" in of({ HF_ENDPOINT: "hub.example" }), true);
  const broken = of({ ...own, HF_TOKEN: "hf_a\nhf_b" });
  assertEquals("why" in broken && [broken.why.includes("HF_TOKEN"), broken.why.includes("hf_a")], [
    true,
    false,
  ]);
});

Deno.test("of a model one format of its weights, of a data set its rows", () => {
  const names = ["config.json", "model.safetensors", "pytorch_model.bin", "x/config.json"];
  assertEquals(chooseFiles("model", names), ["config.json", "model.safetensors"]);
  // As in the Python library, one file goes before shards of the same weights.
  const both = [...names, "model.safetensors.index.json", "model-1.safetensors"];
  assertEquals(chooseFiles("model", both, ["model-1.safetensors"]).length, 2);
  assertEquals(lacking("model", ["config.json"])?.includes("no weights"), true);
  assertEquals(lacking("model", ["adapter_config.json", "adapter_model.safetensors"]), undefined);
  const rows = ["a.jsonl", "b/c.json.gz", "d.PARQUET", "e.csv.zst"];
  const about = ["dataset_info.json", "b/state.json", ".f/g.jsonl", "h.py", "i.arrow"];
  assertEquals(chooseFiles("dataset", [...rows, ...about]), rows);
  assertEquals(lacking("dataset", [])?.includes("no data files"), true);
  const index = (map: unknown) => shardNames(JSON.stringify({ weight_map: map }));
  assertEquals(index({ a: "2.safetensors", b: "1.safetensors", c: "1.safetensors" }), [
    "1.safetensors",
    "2.safetensors",
  ]);
  assertEquals([index({ a: "../x" }), index(null), shardNames("{")], [
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("waits double, and a server's own wait goes before, up to five minutes", () => {
  assertEquals([1, 2, 3, 4].map((n) => waitBefore(n, undefined)), [1, 2, 4, 8]);
  assertEquals([waitBefore(1, 60), waitBefore(1, 9999)], [60, 300]);
  const now = Date.parse("Wed, 21 Oct 2015 07:28:00 GMT");
  assertEquals(retryAfter("Wed, 21 Oct 2015 07:29:30 GMT", now), 90);
  assertEquals([retryAfter("7", now), retryAfter("soon", now), retryAfter(null, now)], [
    7,
    undefined,
    undefined,
  ]);
});

Deno.test("a full disk says so; a signed address is shown without its signature", () => {
  const full = writingError("/c", new Error("No space left on device (os error 28)"));
  assertEquals(full instanceof HubError && full.exitCode, 1);
  assertStringIncludes((full as HubError).message, "the disk is full");
  const other = new Error("Permission denied (os error 13)");
  assertEquals(writingError("/c", other), other);
  assertEquals(shown("https://u:p@files.example/a/b?Signature=s#f"), "https://files.example/a/b");
});
