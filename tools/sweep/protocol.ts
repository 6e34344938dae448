/** What the processes of a sweep say to each other: one JSON object a line, on stdin and stdout. */

/** To a worker, first: what all its runs share. */
export interface JobOpening {
  /** Path of the sweep file. */
  readonly sweep: string;
  readonly quick: boolean;
  /** Path of the base config. */
  readonly config: string;
  readonly out: string;
}

/** To a worker: a run to do. The end of its stdin means that there is none left. */
export interface JobOrder {
  readonly name: string;
}

/** From a worker. */
export type JobAnswer =
  | { readonly type: "ready" }
  | { readonly type: "done"; readonly name: string; readonly seconds: number }
  | { readonly type: "failed"; readonly name: string; readonly message: string };

/** The lines of a stream, parsed. */
export async function* jsonLinesOf<T>(stream: ReadableStream<Uint8Array>): AsyncGenerator<T> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") yield JSON.parse(line) as T;
  }
}
