/** Errors of loss modes: a mode that breaks its contract, or numbers no mode can go on from. */

/** A mode, its options or its results are wrong; the run ends with exit code 2. */
export class ModeError extends Error {
  override name = "ModeError";
  /** Exit code of a run that ends with this error. */
  readonly exitCode: number = 2;
  /** Dotted path of the option in the config, when an option is to blame. */
  readonly path?: string;

  constructor(message: string, details: { readonly path?: string; readonly cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.path = details.path;
  }
}

/** The log-probabilities a mode was given are not finite; the run ends with exit code 4. */
export class ModeNumbersError extends ModeError {
  override name = "ModeNumbersError";
  override readonly exitCode = 4;
}

/** What was thrown, in one line; a permission that Deno refused is no hint to grant it to a mode. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const asked = /Requires \w+ access( to "[^"]*")?/.exec(cause.message)?.[0];
  if (asked !== undefined && /, run again with the --allow/.test(cause.message)) {
    return `${asked}, which a mode does not get: it computes with the numbers it is given, without files, network, programs or environment`;
  }
  if (cause instanceof TypeError && /read only|not extensible|Cannot delete/.test(cause.message)) {
    return `${cause.message}: what a mode is given is frozen, return what is new instead`;
  }
  return cause.message;
}
