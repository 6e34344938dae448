import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { RunEvent } from "../../report/events.ts";
import { readLog } from "../../report/wandb/log_file.ts";
import { readRecord } from "../../report/wandb/record.ts";
import { DEFAULT_BASE_URL, wandbHost, wandbSettings } from "../../report/wandb/settings.ts";
import { wandbSink } from "../../report/wandb/sink.ts";
import type { Pace } from "../../report/wandb/sender.ts";
import recorded from "../goldens/wandb/requests.json" with { type: "json" };
import { LOCAL_SERVER_ALLOWED, WandbServer } from "./wandb_server.ts";

const KEY = "k3y" + "0123456789".repeat(4);
const QUICK: Pace = {
  interval: 3,
  heartbeat: 1e9,
  firstWait: 2,
  longestWait: 10,
  closing: 5000,
};

interface Scene {
  readonly server: WandbServer;
  readonly folder: string;
  readonly told: string[];
  open(finished: number, pace?: Partial<Pace>): ReturnType<typeof wandbSink>;
}

function test(name: string, fn: (scene: Scene) => Promise<void>): void {
  Deno.test({
    name: name + (LOCAL_SERVER_ALLOWED ? "" : " (needs files and 127.0.0.1)"),
    ignore: !LOCAL_SERVER_ALLOWED,
    async fn() {
      const server = new WandbServer();
      const folder = Deno.makeTempDirSync();
      const told: string[] = [];
      const env = { WANDB_API_KEY: KEY, WANDB_BASE_URL: `${server.url}/` } as Record<
        string,
        string
      >;
      const settings = wandbSettings((key) => env[key], { project: "demo", runName: "first" });
      if ("why" in settings) throw new Error(settings.why);
      const open = (finished: number, pace: Partial<Pace> = {}) =>
        wandbSink({
          settings,
          folder,
          finished,
          config: { mode: "beta_dpo", dpo_training: { batch_size: 4 } },
          now: Date.now,
          tell: (text) => told.push(text),
          pace: { ...QUICK, ...pace },
          timeout: 300,
        });
      try {
        await fn({ server, folder, told, open });
        assertEquals(told.filter((text) => text.includes(KEY)), []);
      } finally {
        await server.close();
        Deno.removeSync(folder, { recursive: true });
      }
    },
  });
}

function step(number: number): RunEvent {
  return {
    type: "step",
    step: number,
    totalSteps: 9,
    pairs: 3,
    tokens: 100,
    metrics: {
      loss: 0.5 / number,
      "rewards/margins": number / 8,
      "risk/tau": 3,
      "beta_dpo/beta_used": 0.1,
      "beta_dpo/M0": number,
      "beta_dpo/sigma": 1,
      "beta_dpo/keep_ratio": 0.75,
    },
    distributions: { margins: Float64Array.of(-1, 0, number) },
  };
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

function runOf({ server }: Scene): string {
  assertEquals(server.history.size, 1);
  return [...server.history.keys()][0];
}

/** Every file under a folder as one text. */
function allBytes(folder: string): string {
  return [...Deno.readDirSync(folder)].map(({ name, isDirectory }) =>
    name +
    (isDirectory ? allBytes(`${folder}/${name}`) : Deno.readTextFileSync(`${folder}/${name}`))
  ).join("\n");
}

Deno.test("the environment decides whether and where a run is sent", () => {
  const of = (env: Record<string, string>, names = {}) => wandbSettings((key) => env[key], names);
  const why = (env: Record<string, string>) => {
    const settings = of(env);
    return "why" in settings ? settings.why : "";
  };
  assertStringIncludes(why({}), "WANDB_API_KEY");
  assertStringIncludes(why({ WANDB_MODE: "disabled", WANDB_API_KEY: KEY }), "disabled");
  assertStringIncludes(why({ WANDB_MODE: "onlin", WANDB_API_KEY: KEY }), '"onlin"');
  assertStringIncludes(why({ WANDB_BASE_URL: "w.example", WANDB_API_KEY: KEY }), "https://");
  assertEquals(of({ WANDB_MODE: "OFFLINE", WANDB_PROJECT: "p", WANDB_ENTITY: "e" }), {
    mode: "offline",
    baseUrl: DEFAULT_BASE_URL,
    apiKey: undefined,
    entity: "e",
    project: "p",
    runName: undefined,
  });
  const named = of({ WANDB_API_KEY: ` ${KEY}\n`, WANDB_PROJECT: "p" }, { project: "q" });
  assert(!("why" in named));
  assertEquals([named.mode, named.apiKey, named.project], ["online", KEY, "q"]);
  const host = (env: Record<string, string>) => wandbHost((key) => env[key]);
  assertEquals(host({ WANDB_API_KEY: KEY }), `${new URL(DEFAULT_BASE_URL).host}:443`);
  const own = { WANDB_API_KEY: KEY, WANDB_BASE_URL: "http://w.example/x/" };
  assertEquals(host(own), "w.example:80");
  assertEquals(host({ ...own, WANDB_MODE: "offline" }), undefined);
  assertEquals(host({}), undefined);
});

test("a run arrives with every key, an evaluation in the row of its step", async (scene) => {
  const { server, told, folder } = scene;
  const sink = scene.open(0);
  sink.accept({ type: "evaluation", step: 0, pairs: 2, metrics: { eval_loss: 0.69 } });
  for (const number of range(1, 4)) sink.accept(step(number));
  sink.accept({ type: "evaluation", step: 4, pairs: 2, metrics: { eval_loss: 0.5 } });
  await sink.close?.(0);
  const run = runOf(scene);
  assertEquals(server.steps(run), range(0, 4));
  const last = JSON.parse(server.history.get(run)![4]);
  const keys = ["loss", "rewards/margins", "risk/tau", "beta_dpo/beta_used", "beta_dpo/M0"];
  keys.push("beta_dpo/sigma", "beta_dpo/keep_ratio", "eval_loss");
  assertEquals(keys.map((key) => last[key]), [0.125, 0.5, 3, 0.1, 4, 1, 0.75, 0.5]);
  const { _type, values, bins } = last["distribution/margins"];
  assertEquals([_type, values.length, bins.length, bins[0], bins.at(-1)], [
    "histogram",
    30,
    31,
    -1,
    4,
  ]);
  assertEquals(JSON.parse(server.summary.get(run)!), last);
  assertEquals(server.ends, [{ run, exitcode: 0 }]);
  assertEquals(told, [`W&B run: ${server.url}/someone/demo/runs/${run}`]);
  const stored = allBytes(folder);
  assert(stored.includes("beta_dpo/keep_ratio"));
  assert(!stored.includes(KEY));
  // Marked, so that `wandb sync` does not offer it again.
  assert(stored.includes(`run-${run}.wandb.synced`));
});

/** What kinds a value is made of; lists by the kind of their first member. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shape(member)]));
}

// deno-lint-ignore no-explicit-any
type Loose = any;

test("requests look as the client's do", async (scene) => {
  const first = scene.open(0);
  for (const number of range(1, 3)) first.accept(step(number));
  await first.close?.(0);
  const second = scene.open(3);
  for (const number of range(4, 5)) second.accept(step(number));
  await second.close?.(0);
  const run = runOf(scene);
  const theirs = recorded.requests as readonly Loose[];
  const queries = (requests: readonly Loose[]) =>
    requests.filter(({ path }) => path === "/graphql");
  const [asked] = queries(theirs);
  for (const request of queries(scene.server.requests)) {
    assertEquals(request.contentType, asked.content_type);
    const { query, operationName, variables } = request.body;
    assertEquals(operationName, asked.body.operationName);
    // Every name in our query is one of theirs.
    const unknown = query.match(/[A-Za-z]+/g).filter((word: string) =>
      !asked.body.query.includes(word)
    );
    assertEquals(unknown, []);
    const known = Object.fromEntries(
      Object.keys(variables).map((key) => [key, asked.body.variables[key]]),
    );
    const ours = { ...variables, config: JSON.parse(variables.config) };
    assertEquals(shape(ours), shape(known));
    assertEquals(ours.config, known.config);
  }
  const streams = (requests: readonly Loose[]) =>
    requests.filter(({ path }) => path.endsWith("/file_stream"));
  const [, rows, , more] = streams(theirs).map(({ body }) => body);
  assertEquals(more.files["wandb-history.jsonl"].offset, 3);
  for (const { path, body, authorization } of streams(scene.server.requests)) {
    assertEquals(path, streams(theirs)[0].path.replace("golden01", run));
    assertEquals(authorization, `Basic ${btoa(`api:${KEY}`)}`);
    const { complete, exitcode, files } = body;
    if (complete) assertEquals([complete, exitcode], [rows.complete, rows.exitcode]);
    for (const [name, part] of Object.entries(files ?? {})) {
      assertEquals(shape(part), shape(rows.files[name]));
    }
    const line = files?.["wandb-history.jsonl"]?.content[0];
    if (line === undefined) continue;
    const own = Object.keys(JSON.parse(line)).filter((key) => key.startsWith("_")).sort();
    const client = JSON.parse(rows.files["wandb-history.jsonl"].content[0]);
    assertEquals(own, Object.keys(client).filter((key) => key.startsWith("_")).sort());
    const histogram = "distribution/margins";
    assertEquals(shape(JSON.parse(line)[histogram]), shape(client[histogram]));
  }
  const offsets = streams(scene.server.requests).flatMap(({ body }) =>
    body.files?.["wandb-history.jsonl"]?.offset ?? []
  );
  assert(offsets.includes(0) && offsets.includes(3), `${offsets}`);
});

test("outages, 5xx, 429 and lost answers: nothing is lost, order is kept", async (scene) => {
  const { server, told } = scene;
  server.fault = (n, _, accept) => {
    const kind = n % 7;
    if (kind === 0) return new Response("busy", { status: 503 });
    if (kind === 1) return new Response("", { status: 429, headers: { "retry-after": "0" } });
    if (kind === 3) return new Response("no such gateway", { status: 502 });
    if (kind === 4) {
      // Taken, but the answer is lost: the same lines come again.
      accept();
      return new Response("", { status: 500 });
    }
    return undefined;
  };
  const sink = scene.open(0);
  for (const number of range(1, 60)) {
    sink.accept(step(number));
    await pause(2);
  }
  await sink.close?.(0);
  const run = runOf(scene);
  assertEquals(server.steps(run), range(1, 60));
  assertEquals(server.ends.at(-1), { run, exitcode: 0 });
  assert(server.requests.length > 14, `${server.requests.length}`);
  const outages = told.filter((text) => text.includes("cannot be reached"));
  assertEquals(outages.length, 1);
  assertStringIncludes(outages[0], "503: busy");
});

test("a server that is never there costs its closing time, and the folder has it all", async (scene) => {
  const { server, told } = scene;
  server.fault = () => new Response("", { status: 503, headers: { "retry-after": "3600" } });
  const sink = scene.open(0, { closing: 100 });
  for (const number of range(1, 5)) sink.accept(step(number));
  // The first answer is awaited, however busy the machine is.
  for (let i = 0; i < 500 && told.length === 0; i++) await pause(10);
  await sink.close?.(0);
  assertEquals(server.history.size, 0);
  // It asked to be left alone for an hour.
  assertEquals(server.requests.length, 1);
  assertEquals(told.length, 2);
  assertStringIncludes(told[0], "cannot be reached: it answered 503");
  assertStringIncludes(told[1], "Warning: cannot send to W&B");
  assertStringIncludes(told[1], "wandb sync ");
  // The server is back: the resumed run sends what was left.
  server.fault = () => undefined;
  const resumed = scene.open(5);
  resumed.accept(step(6));
  await resumed.close?.(0);
  assertEquals(server.steps(runOf(scene)), range(1, 6));
});

test("a refused key is told once, with what to do, and is not repeated", async (scene) => {
  const { server, told } = scene;
  server.fault = () => new Response(`bad key ${KEY}`, { status: 401 });
  const sink = scene.open(0);
  for (const number of range(1, 3)) {
    sink.accept(step(number));
    await pause(10);
  }
  await sink.close?.(0);
  assertEquals(server.requests.length, 1);
  assertEquals(told.length, 1);
  assertStringIncludes(told[0], "401: bad key ***; is WANDB_API_KEY a key of this server?");
});

test("a resumed run is the same run: no step twice, none missing", async (scene) => {
  const { server, folder } = scene;
  const first = scene.open(0, { heartbeat: 10 });
  for (const number of range(1, 6)) first.accept(step(number));
  await pause(100);
  // Killed: the row of step 6 is not in the log yet, step 5 is beyond the checkpoint of step 4.
  server.fault = () => new Response("", { status: 400 });
  await pause(100);
  server.fault = () => undefined;
  const run = runOf(scene);
  assertEquals(server.steps(run), range(1, 5));
  const second = scene.open(4);
  for (const number of range(5, 7)) second.accept(step(number));
  await second.close?.(0);
  assertEquals(server.steps(run), range(1, 7));
  const [log] = [...Deno.readDirSync(`${folder}/wandb`)];
  assert(log.name.endsWith(`-${run}`));
  // Steps that were made without W&B, or whose rows were lost, come from metrics.jsonl.
  const lines = range(1, 9).map((number) => JSON.stringify({ step: number, loss: 10 + number }));
  Deno.writeTextFileSync(`${folder}/metrics.jsonl`, lines.join("\n") + "\n");
  const third = scene.open(9);
  third.accept(step(10));
  await third.close?.(0);
  assertEquals(server.steps(run), range(1, 10));
  const losses = server.history.get(run)!.map((line) => JSON.parse(line).loss);
  assertEquals(losses.slice(6), [0.5 / 7, 18, 19, 0.05]);
  assertEquals(server.ends.map((end) => end.run), [run, run]);
  // A reader stops at the end of a run: there is one, behind all rows.
  const kinds = [...readLog(`${folder}/wandb/${log.name}/run-${run}.wandb`)]
    .map(({ data }) => readRecord(data).kind);
  assertEquals([kinds.indexOf("exit"), kinds.at(-1)], [kinds.length - 1, "exit"]);
  // The sink that was killed still has its file open.
  await first.close?.(0);
});

test("a long backlog goes out in requests of bounded size", async (scene) => {
  const { server } = scene;
  let down = true;
  server.fault = () => down ? new Response("", { status: 503 }) : undefined;
  const sink = scene.open(0);
  for (const number of range(1, 1200)) sink.accept(step(number));
  down = false;
  await sink.close?.(0);
  assertEquals(server.steps(runOf(scene)), range(1, 1200));
  const sizes = server.requests.flatMap(({ body }) =>
    body.files?.["wandb-history.jsonl"]?.content.length ?? []
  );
  assert(Math.max(...sizes) <= 500, `${sizes}`);
});

test("a run without news gives a sign of life", async (scene) => {
  const sink = scene.open(0, { heartbeat: 20 });
  await pause(150);
  await sink.close?.(7);
  const bodies = scene.server.requests.slice(1).map(({ body }) => JSON.stringify(body));
  assert(bodies.filter((body) => body === "{}").length >= 2, `${bodies}`);
  assertEquals(bodies.at(-1), '{"complete":true,"exitcode":7}');
});
