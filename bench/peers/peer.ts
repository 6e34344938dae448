/** A peer is a process that builds the same work, says it is ready, and then runs it when it is told to. */

export type Answer = Readonly<Record<string, unknown>>;

export class Peer {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#input = process.stdin.getWriter();
    this.#lines = linesOf(process.stdout);
  }

  /** Starts a program; throws when there is none. */
  static start(command: string, args: readonly string[]): Peer {
    const piped = { stdin: "piped", stdout: "piped", stderr: "null" } as const;
    return new Peer(new Deno.Command(command, { args: [...args], ...piped }).spawn());
  }

  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    await this.#input.write(bytes);
  }

  /** The next line that is an object; libraries may print others. Throws when the peer has ended. */
  async answer(): Promise<Answer> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error("it ended before it answered");
      if (!value.startsWith("{")) continue;
      const answer = JSON.parse(value) as Answer;
      if (typeof answer.error === "string") throw new Error(answer.error);
      return answer;
    }
  }

  async ask(line: string): Promise<Answer> {
    await this.send(line + "\n");
    return await this.answer();
  }

  /** Ends the process; nothing may be asked afterwards. */
  async stop(): Promise<void> {
    await this.#input.close().catch(() => {});
    try {
      this.#process.kill();
    } catch {
      // It has ended by itself.
    }
    await this.#process.status;
    await this.#lines.return?.();
  }
}

/** Lines of a stream of bytes, without their ends. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/** The number under a key of an answer. */
export function numberOf(answer: Answer, key: string): number {
  const value = answer[key];
  if (typeof value !== "number") throw new Error(`it answered no number for "${key}"`);
  return value;
}
