/**
 * Building blocks of the config's schema. Each carries one message that starts with "expected";
 * what was found instead is added where the message is put together, so that every key answers a
 * wrong value in the same words.
 */
import { z } from "zod";

/** Inclusive (`min`, `max`) and exclusive (`above`, `below`) bounds of a number. */
export interface Range {
  readonly min?: number;
  readonly max?: number;
  readonly above?: number;
  readonly below?: number;
}

function words(noun: string, { min, max, above, below }: Range): string {
  const parts: string[] = [];
  if (min !== undefined && max !== undefined) parts.push(`from ${min} to ${max}`);
  else if (min !== undefined) parts.push(`of at least ${min}`);
  else if (max !== undefined) parts.push(`of at most ${max}`);
  if (above !== undefined) parts.push(`above ${above}`);
  if (below !== undefined) parts.push(`below ${below}`);
  return `expected ${noun} ${parts.join(" and ")}`.trimEnd();
}

function bounded(schema: z.ZodNumber, error: string, range: Range): z.ZodNumber {
  let result = schema;
  if (range.min !== undefined) result = result.min(range.min, { error });
  if (range.max !== undefined) result = result.max(range.max, { error });
  if (range.above !== undefined) result = result.gt(range.above, { error });
  if (range.below !== undefined) result = result.lt(range.below, { error });
  return result;
}

/** A finite number in a range. */
export function real(range: Range = {}): z.ZodNumber {
  const error = words("a number", range);
  return bounded(z.number({ error }), error, range);
}

/** A whole number in a range, exactly representable (magnitude below 2^53). */
export function whole(range: Range = {}): z.ZodNumber {
  const error = words("a whole number", range);
  return bounded(z.number({ error }).int({ error }), error, range);
}

/** `true` or `false`. */
export function flag(): z.ZodBoolean {
  return z.boolean({ error: "expected true or false" });
}

/** Text that is not empty and holds no control characters. */
export function text(what = "text"): z.ZodString {
  const error = `expected ${what}`;
  return z.string({ error }).min(1, { error })
    // deno-lint-ignore no-control-regex
    .regex(/^[^\x00-\x1f\x7f]*$/, { error: `expected ${what} without control characters` });
}

/**
 * A folder below the run's output folder: relative and without `..`, so that no config can make a
 * run write elsewhere.
 */
export function innerFolder(): z.ZodString {
  return text("a folder").refine(
    (path) => !/^([\\/~]|[A-Za-z]:)/.test(path) && !path.split(/[\\/]/).includes(".."),
    { error: `expected a relative folder without ".."` },
  );
}

/** One of a few words. */
export function oneOf<const T extends readonly [string, ...string[]]>(choices: T) {
  const list = choices.map((choice) => `"${choice}"`).join(", ");
  return z.enum(choices, {
    error: choices.length > 1 ? `expected one of ${list}` : `expected ${list}`,
  });
}

/** A key with a default, which its description repeats. */
export function byDefault<T extends z.ZodType>(schema: T, value: z.output<T>, help: string) {
  return schema.default(value as never).describe(`${help}. Default: ${JSON.stringify(value)}`);
}

/** A key that may be absent; `help` says what then holds. */
export function optional<T extends z.ZodType>(schema: T, help: string) {
  return schema.optional().describe(help);
}

/** A key that may be absent, or null, which says the same. */
export function nullable<T extends z.ZodType>(schema: T, help: string) {
  return schema.nullish().transform((value) => value ?? undefined).describe(help);
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};
const SMALLEST_BUDGET = 2 ** 24;

/**
 * A number of bytes, plain or with a unit: `2GB` is 2e9, `2GiB` is 2^31. The output is bytes. Less
 * than 16 MiB is refused: not even the tiny example trains in that.
 */
export function byteSize() {
  const error = `expected bytes or a size like "2GiB" or "500MB", 16 MiB or more`;
  return z.union([z.number(), z.string()], { error }).transform((value, context) => {
    const match = /^\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b)?\s*$/i.exec(String(value));
    const unit = UNITS[(match?.[2] ?? "").toLowerCase()];
    const bytes = match && unit ? Math.floor(Number(match[1]) * unit) : NaN;
    if (bytes >= SMALLEST_BUDGET && Number.isSafeInteger(bytes)) return bytes;
    context.addIssue({ code: "custom", message: error });
    return z.NEVER;
  });
}
