/** The smallest config, and how tests look at what parsing says. */
import { assertInstanceOf, fail } from "@std/assert";
import { parseConfig, type ParsedConfig } from "../../trainer/config.ts";
import { ConfigError } from "../../trainer/error.ts";

/** Lines 1-3 of every config here. */
export const MINIMAL = "policy_name: models/a\ndataset:\n  dataset_name: rows.jsonl\n";

/** Parses lines that follow the smallest config (the first one added is line 4). */
export function parseWith(lines = "", overrides: readonly string[] = []): ParsedConfig {
  return parseConfig(MINIMAL + lines, { file: "x.yaml", overrides });
}

/** The message of the error that parsing must end with. */
export function messageOf(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    assertInstanceOf(error, ConfigError);
    return error.message;
  }
  return fail("expected a ConfigError");
}
