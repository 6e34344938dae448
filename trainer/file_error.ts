/** A file operation that the system refused; the program ends with exit code 1, and it is no bug. */
export class FileError extends Error {
  override name = "FileError";
}

/**
 * Runs one file operation; its error gets the path, which the system's own message may lack.
 *
 * @param what the operation as a verb, e.g. `write`
 * @throws FileError naming the operation and the path; `cause` is what the system said
 */
export async function attempt<T>(
  what: string,
  path: string,
  operation: () => Promise<T>,
): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw fileError(what, path, error);
  }
}

/** `attempt` for an operation that blocks. */
export function attemptSync<T>(what: string, path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw fileError(what, path, error);
  }
}

function fileError(what: string, path: string, error: unknown): FileError {
  const reason = error instanceof Error ? error.message : String(error);
  return new FileError(`Cannot ${what} "${path}": ${reason}`, { cause: error });
}
