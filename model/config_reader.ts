/** Typed access to the fields of a `config.json`. */
import { ModelError, quoted } from "./error.ts";
import type { JsonObject } from "./strict_json.ts";

const MAX_SIZE = 2 ** 24;

export function isPositive(value: unknown): value is number {
  return typeof value === "number" && value > 0 && value < Infinity;
}

/** Typed access to the fields of one file; every refusal names file, field and value. */
export class Fields {
  readonly raw: JsonObject;
  readonly #file: string;

  constructor(raw: JsonObject, file: string) {
    this.raw = raw;
    this.#file = file;
  }

  fail(field: string, problem: string, value: unknown = this.raw[field]): never {
    const found = value === undefined ? "is missing" : `is ${quoted(value)}`;
    throw new ModelError(
      `Cannot use ${quoted(this.#file)}: field ${quoted(field)} ${found}: ${problem}`,
    );
  }

  /** A positive integer. */
  size(name: string, limits: { fallback?: number; max?: number } = {}): number {
    const { fallback, max = MAX_SIZE } = limits;
    const value = this.raw[name] ?? null;
    if (value === null && fallback !== undefined) return fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > max) {
      return this.fail(name, `it must be an integer from 1 to ${max}`);
    }
    return value;
  }

  positive(name: string, fallback: number): number {
    const value = this.raw[name] ?? fallback;
    return isPositive(value) ? value : this.fail(name, "it must be a positive number");
  }

  /** What a field that is absent takes from `fallback`, but that null switches off. */
  positiveOrOff(name: string, fallback: number | null): number | null {
    const value = this.raw[name];
    if (value === undefined) return fallback;
    return value === null ? null : this.positive(name, NaN);
  }

  /** One of the values that `choices` has a meaning for. */
  choice<T>(name: string, choices: Readonly<Record<string, T>>, fallback: string): T {
    const value = this.raw[name] ?? fallback;
    if (typeof value === "string" && Object.hasOwn(choices, value)) return choices[value];
    return this.fail(name, `supported are ${Object.keys(choices).join(", ")}`);
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.raw[name] ?? fallback;
    return typeof value === "boolean" ? value : this.fail(name, "it must be true or false");
  }

  /** One id, a list of ids, or null for none; absent means `fallback`. */
  tokenIds(name: string, vocabSize: number, fallback: number | null): number[] {
    // A fallback outside a small vocabulary names no token.
    const preset = fallback !== null && fallback < vocabSize ? fallback : null;
    const value = this.raw[name] === undefined ? preset : this.raw[name];
    const ids: unknown[] = Array.isArray(value) ? value : value === null ? [] : [value];
    for (const id of ids) {
      if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= vocabSize) {
        this.fail(name, `token ids must be integers from 0 to ${vocabSize - 1}`);
      }
    }
    return ids as number[];
  }
}
