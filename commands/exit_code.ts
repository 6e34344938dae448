/** Which exit code an error ends the program with, and what is printed. */
import { DataError } from "../data/error.ts";
import { GpuError } from "../gpu/error.ts";
import { ModeError } from "../losses/mode_error.ts";
import { HubError } from "../hub/error.ts";
import { ModelError } from "../model/error.ts";
import { ReportFileError } from "../report/json_lines.ts";
import { ConfigError, NumbersError } from "../trainer/error.ts";
import { FileError } from "../trainer/file_error.ts";

/** Wrong use of the command line; the program ends with exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Exit codes: 1 file system or a bug, 2 usage and input, 3 GPU, 4 numbers that are not finite. */
export function explainError(error: unknown): { readonly message: string; readonly code: number } {
  if (error instanceof ModeError) {
    return { message: `Error: ${error.message}`, code: error.exitCode };
  }
  if (error instanceof HubError) {
    return { message: `Error: ${error.message}`, code: error.exitCode };
  }
  if (error instanceof NumbersError) return { message: `Error: ${error.message}`, code: 4 };
  if (error instanceof GpuError) return { message: `Error: ${error.message}`, code: 3 };
  for (const kind of [UsageError, ConfigError, DataError, ModelError]) {
    if (error instanceof kind) return { message: `Error: ${error.message}`, code: 2 };
  }
  const fromSystem = error instanceof Error &&
    (error.constructor.name in Deno.errors || /\(os error \d+\)/.test(error.message));
  if (error instanceof FileError || error instanceof ReportFileError || fromSystem) {
    return { message: `Error: ${error.message}`, code: 1 };
  }
  const trace = error instanceof Error ? error.stack ?? error.message : String(error);
  return { message: `Error: this is a bug of the program; please report it\n${trace}`, code: 1 };
}
