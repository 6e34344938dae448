import { diskOperations, type FileOperations } from "../../trainer/atomic_write.ts";

/**
 * How the n-th operation fails. `error`: once, as a full disk does. `short`: a write takes half of
 * what it is given and says so; nothing fails. `kill`: from there on nothing works, cleaning up included.
 */
export type Fault = "error" | "short" | "kill";

export const FULL = "no space left on device";

/** Disk operations of which the n-th (from 1) fails; `log` names them all with their paths. */
export function faultyOperations(
  n: number,
  fault: Fault = "error",
): { operations: FileOperations; log: string[] } {
  const log: string[] = [];
  const guard = async <R>(name: string, operation: () => Promise<R>): Promise<R> => {
    log.push(name);
    if ((fault === "error" && log.length === n) || (fault === "kill" && log.length >= n)) {
      throw new Error(FULL);
    }
    return await operation();
  };
  const operations: FileOperations = {
    mkdir: (path) => guard(`mkdir ${path}`, () => diskOperations.mkdir(path)),
    syncFolder: (path) => guard(`syncFolder ${path}`, () => diskOperations.syncFolder(path)),
    rename: (from, to) => guard(`rename ${to}`, () => diskOperations.rename(from, to)),
    remove: (path) => guard(`remove ${path}`, () => diskOperations.remove(path)),
    create: (path) =>
      guard(`create ${path}`, async () => {
        const file = await diskOperations.create(path);
        return {
          async write(bytes) {
            if (fault === "short" && log.length + 1 === n && bytes.length > 1) {
              log.push(`short write ${path}`);
              return await file.write(bytes.subarray(0, bytes.length >> 1));
            }
            return await guard(`write ${path}`, () => file.write(bytes));
          },
          sync: () => guard(`sync ${path}`, () => file.sync()),
          close: () => file.close(),
        };
      }),
  };
  return { operations, log };
}
