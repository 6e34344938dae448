/** A model folder, config.json or weight file that cannot be used; the program ends with exit code 2. */
export class ModelError extends Error {
  override name = "ModelError";
}

const LONGEST_QUOTE = 120;

/**
 * A value from a file as it may stand in a message: JSON (so that control characters are visible),
 * cut to about 120 characters.
 */
export function quoted(value: unknown): string {
  const cut = typeof value === "string" ? value.slice(0, LONGEST_QUOTE + 1) : value;
  const text = JSON.stringify(cut) ?? String(value);
  return text.length <= LONGEST_QUOTE + 2 ? text : `${text.slice(0, LONGEST_QUOTE)}...`;
}

/**
 * The error to throw when reading `path` failed with `error`: a `ModelError` where the user gave a
 * wrong or unreadable path, anything else unchanged.
 */
export function readingError(path: string, error: unknown): unknown {
  const reason = error instanceof Deno.errors.NotFound
    ? "it does not exist"
    : error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable
    ? "reading it is not permitted"
    : error instanceof Deno.errors.NotADirectory
    ? "a part of its path is not a folder"
    : error instanceof Deno.errors.FilesystemLoop
    ? "it is a loop of symbolic links"
    : undefined;
  if (reason === undefined) return error;
  return new ModelError(`Cannot read ${quoted(path)}: ${reason}`, { cause: error });
}
