// The live page's server over 127.0.0.1: who is let in, what viewers get, what orders do.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type LivePage, openLivePage } from "../../report/live_page.ts";
import { FILES_ALLOWED, STEPS, withFolder, writeRun } from "./a_run.ts";

const NET = (await Deno.permissions.query({ name: "net", host: "127.0.0.1" })).state === "granted";

function test(
  name: string,
  fn: (page: LivePage, folder: string, orders: string[]) => Promise<void>,
) {
  Deno.test({
    name: `${name} (needs files and --allow-net=127.0.0.1)`,
    ignore: !FILES_ALLOWED || !NET,
    fn: () =>
      withFolder(async (folder) => {
        writeRun(folder);
        const orders: string[] = [];
        const order = (name: string) => void orders.push(name);
        const page = openLivePage({ host: "127.0.0.1", port: 0, folder, name: "run", order });
        try {
          await fn(page, folder, orders);
        } finally {
          await page.end("over");
        }
      }),
  });
}

/** Events of a viewer, as they come. */
class Viewer {
  #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = body.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async open(page: LivePage): Promise<Viewer> {
    // An event that never comes fails the test.
    const signal = AbortSignal.timeout(30_000);
    const answer = await fetch(page.url.replace("/?", "/events?"), { signal });
    assertEquals(answer.headers.get("content-type"), "text/event-stream");
    return new Viewer(answer.body!);
  }

  /** The next event of a name; others are passed over. */
  // deno-lint-ignore no-explicit-any
  async next(name: string): Promise<any> {
    while (true) {
      const found = new RegExp(`event: ${name}\ndata: (.*)\n\n`).exec(this.#text);
      if (found) {
        this.#text = this.#text.slice(found.index + found[0].length);
        return JSON.parse(found[1]);
      }
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`The events ended before "${name}"`);
      this.#text += value;
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

function step(number: number) {
  return { type: "step", step: number, totalSteps: 9, pairs: 4, tokens: 9, metrics: {} } as const;
}

test("only who has the token is let in, and only by the right method", async (page, _, orders) => {
  const { origin, searchParams } = new URL(page.url);
  assertMatch(searchParams.get("token")!, /^[0-9a-f]{32}$/);
  const status = async (path: string, method = "GET") => {
    const answer = await fetch(origin + path, { method });
    await answer.body?.cancel();
    return answer.status;
  };
  const token = `?token=${searchParams.get("token")}`;
  assertEquals(await status("/"), 403);
  assertEquals(await status("/events"), 403);
  assertEquals(await status(`/?token=${"0".repeat(32)}`), 403);
  assertEquals(await status("/order/stop", "POST"), 403);
  assertEquals(await status(`/order/stop${token}`), 405);
  assertEquals(await status(`/order/explode${token}`, "POST"), 405);
  assertEquals(await status(`/other${token}`), 404);
  assertEquals(orders, []);
  assertEquals(await status(`/order/pause${token}`, "POST"), 204);
  assertEquals(orders, ["pause"]);
});

test("the page comes with a strict policy and without data", async (page) => {
  const answer = await fetch(page.url);
  const html = await answer.text();
  const policy = answer.headers.get("content-security-policy")!;
  assertStringIncludes(policy, "frame-ancestors 'none'");
  assertStringIncludes(policy, "connect-src 'self'");
  assertEquals(answer.headers.get("referrer-policy"), "no-referrer");
  assertEquals(answer.headers.get("cache-control"), "no-store");
  assertEquals(html.includes('beta_dpo/M0":['), false);
});

test("each of many viewers gets every row once, whoever comes later", async (page, folder) => {
  const path = `${folder}/metrics.jsonl`;
  page.accept({ type: "start", step: 0, totalSteps: 9 });
  const first = await Viewer.open(page);
  assertEquals((await first.next("all")).data.tables.metrics.step.length, STEPS);
  Deno.writeTextFileSync(path, '{"step":7,"loss":0.5}\n', { append: true });
  // A second viewer makes the server read on: the first must get that row too.
  const second = await Viewer.open(page);
  assertEquals((await second.next("all")).data.tables.metrics.step.at(-1), 7);
  assertEquals((await first.next("more")).tables.metrics.step, [7]);
  Deno.writeTextFileSync(path, '{"step":8,"loss":0.25}\n', { append: true });
  page.accept(step(8));
  for (const viewer of [first, second]) {
    const { tables } = await viewer.next("more");
    assertEquals([tables.metrics.step, tables.metrics.columns.loss], [[8], [0.25]]);
    assertEquals((await viewer.next("status")).text, "Step 8 of 9");
  }
  // A viewer that is gone is forgotten.
  await first.close();
  page.accept({ type: "paused", step: 8 });
  assertEquals((await second.next("status")).state, "paused");
  await second.close();
});

test(
  "a file that cannot be read is told to the viewers and stops nothing",
  async (page, folder) => {
    const viewer = await Viewer.open(page);
    await viewer.next("status");
    Deno.removeSync(`${folder}/metrics.jsonl`);
    Deno.mkdirSync(`${folder}/metrics.jsonl`);
    page.accept(step(1));
    assertStringIncludes((await viewer.next("status")).text, "Cannot read");
    // Who comes now gets what was read before.
    const late = await Viewer.open(page);
    assertEquals((await late.next("all")).data.tables.metrics.step.length, STEPS);
    await late.close();
    await viewer.close();
  },
);

test("viewers are told of the end and of what led to it", async (page) => {
  const viewer = await Viewer.open(page);
  assertEquals(await viewer.next("status"), { state: "running", text: "Starting" });
  page.accept({ type: "progress", what: "Reading", done: 1, total: 2 });
  assertEquals((await viewer.next("status")).text, "Reading: 1 of 2");
  const ended = page.end("The run is finished");
  assertEquals(await viewer.next("status"), { state: "ended", text: "The run is finished" });
  await ended;
  await viewer.close();
  assert(await fetch(page.url).then(() => false, () => true));
});
