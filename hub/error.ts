/**
 * What went wrong between this program and a model hub. Never holds a token: messages are made of
 * names, addresses without their query (a signed address is a key too), and status codes.
 */

/** A model or data set that cannot be had from the Hub or its cache. */
export class HubError extends Error {
  override name = "HubError";
  /** Exit code of the program: 2 where the user's input has to change, 1 for network and disk. */
  readonly exitCode: 1 | 2;

  constructor(message: string, { exitCode, cause }: { exitCode: 1 | 2; cause?: unknown }) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

/** The reason of an error in a few words, without what only Deno's own messages need. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An address as it may stand in a message: without user, password, query and fragment. */
export function shown(address: string | URL): string {
  const url = new URL(address);
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The error to throw when writing below `folder` failed: a full disk says what to do. */
export function writingError(folder: string, error: unknown): unknown {
  const full = error instanceof Error &&
    /no space left|os error (28|112)\b|quota/i.test(error.message);
  if (!full) return error;
  return new HubError(
    `Cannot download into "${folder}": the disk is full. Free some space, or set HF_HUB_CACHE to a ` +
      `folder on another disk, and start again: what is there already is not downloaded twice`,
    { exitCode: 1, cause: error },
  );
}
