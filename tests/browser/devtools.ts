/** A small client of the DevTools protocol: starts Chromium without a window and drives one page of it. */

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** Path of a Chromium; undefined when there is none or programs may not be started. */
export function findBrowser(): string | undefined {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return undefined;
  for (const name of NAMES) {
    try {
      const { success } = new Deno.Command(name, { args: ["--version"] }).outputSync();
      if (success) return name;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

type Reply = Readonly<Record<string, unknown>>;

/** One page. Everything that went wrong on it is in `problems`. */
export class Page {
  readonly problems: string[] = [];
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Reply>>();
  #next = 1;
  #loaded = Promise.withResolvers<void>();

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
  }

  /** The first page of a browser that listens on `port`. */
  static async attach(port: number): Promise<Page> {
    const answer = await fetch(`http://127.0.0.1:${port}/json`);
    const targets: { type: string; webSocketDebuggerUrl: string }[] = await answer.json();
    const { webSocketDebuggerUrl } = targets.find(({ type }) => type === "page")!;
    const socket = new WebSocket(webSocketDebuggerUrl);
    const page = new Page(socket);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.send(`${domain}.enable`);
    return page;
  }

  /** One command of the protocol. */
  send(method: string, params: Reply = {}): Promise<Reply> {
    const id = this.#next++;
    const waiting = Promise.withResolvers<Reply>();
    this.#waiting.set(id, waiting);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return waiting.promise;
  }

  /** Opens an address and waits until it is loaded. */
  async open(url: string): Promise<void> {
    this.#loaded = Promise.withResolvers();
    await this.send("Page.navigate", { url });
    await this.#loaded.promise;
  }

  /** The value of an expression on the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    }) as { result: { value: T }; exceptionDetails?: unknown };
    if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  }

  /** Clicks what a selector names, as a user would: it must be there and visible. */
  async click(selector: string): Promise<void> {
    const place = await this.evaluate<[number, number] | null>(`(() => {
      const found = document.querySelector(${JSON.stringify(selector)});
      if (!found) return null;
      found.scrollIntoView({ block: "center", behavior: "instant" });
      const { left, top, width, height } = found.getBoundingClientRect();
      return width > 0 ? [left + width / 2, top + height / 2] : null;
    })()`);
    if (!place) throw new Error(`There is no visible "${selector}" to click on`);
    const [x, y] = place;
    const mouse = { x, y, button: "left", clickCount: 1 };
    await this.send("Input.dispatchMouseEvent", { type: "mousePressed", ...mouse });
    await this.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...mouse });
  }

  /** Waits until an expression is true; `what` is said when it never is. */
  async until(expression: string, what: string, seconds = 30): Promise<void> {
    const end = performance.now() + 1000 * seconds;
    while (!await this.evaluate<boolean>(`Boolean(${expression})`)) {
      if (performance.now() > end) throw new Error(`Not within ${seconds} s: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Sets the window's size, and light or dark. */
  async look(width: number, height: number, scheme: "light" | "dark"): Promise<void> {
    const mobile = width < 600;
    await this.send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile,
    });
    await this.send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
    // Two frames: sizes are observed in one and drawn in the next.
    await this.evaluate(
      "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))",
    );
  }

  /** A picture of the page as PNG; `whole`: beyond the window too. */
  async screenshot(whole = false): Promise<Uint8Array> {
    const { data } = await this.send("Page.captureScreenshot", {
      format: "png",
      captureBeyondViewport: whole,
    });
    return Uint8Array.fromBase64(data as string);
  }

  close(): void {
    this.#socket.close();
  }

  #receive(message: Reply & { id?: number; method?: string; params?: Reply }): void {
    const { id, method, params } = message;
    if (id !== undefined) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (message.error) waiting?.reject(new Error(JSON.stringify(message.error)));
      else waiting?.resolve(message.result as Reply);
    } else if (method === "Page.loadEventFired") this.#loaded.resolve();
    else if (method === "Runtime.exceptionThrown") this.problems.push(JSON.stringify(params));
    else if (method === "Log.entryAdded") {
      const { entry } = params as { entry: { level: string; text: string } };
      if (entry.level === "error" || entry.level === "warning") this.problems.push(entry.text);
    } else if (method === "Runtime.consoleAPICalled") {
      this.problems.push(JSON.stringify(params?.args));
    }
  }
}

/** Runs `use` with a page of a browser of its own, which is ended afterwards. */
export async function withPage(
  browser: string,
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const profile = await Deno.makeTempDir();
  const child = new Deno.Command(browser, {
    args: [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--no-first-run",
      "--hide-scrollbars",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    const page = await Page.attach(await debuggingPort(profile));
    try {
      await use(page);
    } finally {
      page.close();
    }
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await removeSoon(profile);
  }
}

/** Chromium writes the port it has chosen into its profile. */
async function debuggingPort(profile: string): Promise<number> {
  for (let attempt = 0; attempt < 600; attempt++) {
    try {
      const port = Number(Deno.readTextFileSync(`${profile}/DevToolsActivePort`).split("\n")[0]);
      if (port > 0) return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("Chromium did not say its debugging port within 30 s");
}

/** Its helper processes may still write for a moment. */
async function removeSoon(folder: string): Promise<void> {
  for (let attempt = 0;; attempt++) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (attempt === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
