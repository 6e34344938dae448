/**
 * `parseArgs` of `@std/cli/parse-args`, over Node's own tokenizer. Declare every option: std turns an
 * undeclared `--n 3` into the number 3, here it stays text.
 *
 * @module
 */
import { parseArgs as tokenize } from "node:util";

type Name = string | undefined;
type Names<N extends Name> = N | readonly Extract<N, string>[];

/** Options of {@linkcode parseArgs}, a part of std's. */
export interface ParseOptions<
  B extends Name = Name,
  S extends Name = Name,
  C extends Name = Name,
  N extends Name = Name,
  D extends Record<string, unknown> | undefined = Record<string, unknown> | undefined,
> {
  /** Options without a value; false when they are not given. */
  boolean?: Names<B>;
  /** Options with a text value. */
  string?: Names<S>;
  /** Options that may be repeated; an array, empty when they are not given. */
  collect?: Names<C>;
  /** Options for which `--no-<name>` means false. */
  negatable?: Names<N>;
  /** Other spellings, mostly single letters. */
  alias?: Record<string, string | readonly string[]>;
  /** Values of options that are not given. */
  default?: D;
  /** Everything after the first positional argument goes to `_` unparsed. */
  stopEarly?: boolean;
  /** Called for each undeclared argument; false drops it. */
  unknown?: (argument: string, key?: string, value?: unknown) => unknown;
}

type Value<K, T, C extends Name, N extends Name> = K extends C ? T[]
  : K extends N ? T | false
  : T;

/** What {@linkcode parseArgs} returns. */
export type Args<
  B extends Name = Name,
  S extends Name = Name,
  C extends Name = Name,
  N extends Name = Name,
  D = undefined,
> =
  & { _: (string | number)[] }
  & { [K in Extract<B, string>]: Value<K, boolean, C, undefined> }
  & { [K in Extract<S, C & string>]: string[] }
  & {
    [K in Exclude<Extract<S, string>, C | keyof D>]?: Value<K, string, C, N>;
  }
  & {
    [K in Extract<Exclude<Extract<S, string>, C>, keyof D>]:
      | Value<K, string, C, N>
      | D[K & keyof D];
  }
  & Record<string, unknown>;

interface Declared {
  readonly booleans: ReadonlySet<string>;
  readonly strings: ReadonlySet<string>;
  readonly collected: ReadonlySet<string>;
  readonly negatable: ReadonlySet<string>;
  /** Every spelling to the declared one. */
  readonly canonical: ReadonlyMap<string, string>;
}

function toSet(names: string | readonly string[] | undefined): Set<string> {
  return new Set(names === undefined ? [] : typeof names === "string" ? [names] : names);
}

function declare(options: ParseOptions): Declared {
  const canonical = new Map<string, string>();
  const booleans = toSet(options.boolean);
  const strings = toSet(options.string);
  const collected = toSet(options.collect);
  for (const name of [...booleans, ...strings, ...collected]) canonical.set(name, name);
  for (const [key, others] of Object.entries(options.alias ?? {})) {
    // An alias may be written either way round: the declared spelling counts.
    const spellings = [key, ...toSet(others)];
    const name = spellings.find((spelling) => canonical.has(spelling)) ?? key;
    for (const spelling of spellings) canonical.set(spelling, name);
  }
  return { booleans, strings, collected, negatable: toSet(options.negatable), canonical };
}

/** The declarations in the form Node's tokenizer takes. */
function nodeOptions(declared: Declared) {
  const table: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const [spelling, name] of declared.canonical) {
    const type = declared.booleans.has(name) ? "boolean" : "string";
    // Node knows single letters only as the short form of a long name.
    if (spelling.length === 1) table[`short-${spelling}`] = { type, short: spelling };
    else table[spelling] = { type };
  }
  return table;
}

interface OptionToken {
  readonly rawName: string;
  readonly value?: string;
}

class Collector {
  readonly values: Record<string, unknown> = {};
  readonly positionals: string[] = [];
  readonly #declared: Declared;
  readonly #unknown: ParseOptions["unknown"];

  constructor(declared: Declared, unknown: ParseOptions["unknown"]) {
    this.#declared = declared;
    this.#unknown = unknown;
  }

  set(name: string, value: unknown): void {
    if (!this.#declared.collected.has(name)) this.values[name] = value;
    else if (Array.isArray(this.values[name])) this.values[name].push(value);
    else this.values[name] = [value];
  }

  positional(text: string): void {
    if (this.#unknown && this.#unknown(text) === false) return;
    this.positionals.push(text);
  }

  /** Adds one option; `raw` is how it was typed, for the `unknown` callback. */
  option(token: OptionToken, raw: string): void {
    const declared = this.#declared;
    const typed = token.rawName.replace(/^-{1,2}/, "");
    const name = declared.canonical.get(typed);
    if (name === undefined) {
      const positive = declared.canonical.get(typed.replace(/^no-/, ""));
      if (typed.startsWith("no-") && positive !== undefined && declared.negatable.has(positive)) {
        this.set(positive, false);
        return;
      }
      const value = token.value ?? true;
      if (this.#unknown && this.#unknown(raw, typed, value) === false) return;
      this.set(typed, value);
    } else if (declared.booleans.has(name)) {
      this.set(name, token.value === undefined ? true : token.value !== "false");
    } else {
      this.set(name, token.value ?? "");
    }
  }
}

/** Node lets an option swallow a following option as its value; std leaves it empty. */
function swallowsOption(token: { inlineValue?: boolean; value?: string }): boolean {
  return token.inlineValue === false && /^-./.test(token.value ?? "") &&
    !Number.isFinite(Number(token.value));
}

/** Hands `args[start..]` to the collector; returns where to go on. */
function consume(
  args: string[],
  start: number,
  options: ReturnType<typeof nodeOptions>,
  collector: Collector,
  stopEarly: boolean,
): number {
  const rest = args.slice(start);
  const settings = { args: rest, options, strict: false, allowPositionals: true } as const;
  for (const token of tokenize({ ...settings, tokens: true }).tokens) {
    if (token.kind === "option") {
      const swallowed = swallowsOption(token);
      collector.option(
        { rawName: token.rawName, value: swallowed ? undefined : token.value },
        rest[token.index],
      );
      if (swallowed) return start + token.index + 1;
    } else if (token.kind === "positional") {
      if (stopEarly) {
        collector.positionals.push(...rest.slice(token.index));
        break;
      }
      collector.positional(token.value);
    }
  }
  return args.length;
}

/** Fills in what was not given: defaults, false for booleans, empty arrays for collected options. */
function fillDefaults(
  values: Record<string, unknown>,
  declared: Declared,
  defaults: Record<string, unknown>,
): void {
  for (const [name, value] of Object.entries(defaults)) {
    if (!Object.hasOwn(values, name)) values[name] = value;
  }
  for (const name of declared.collected) {
    if (!Object.hasOwn(values, name)) values[name] = [];
  }
  for (const name of declared.booleans) {
    if (!Object.hasOwn(values, name)) values[name] = false;
  }
  for (const [spelling, name] of declared.canonical) {
    if (spelling !== name && Object.hasOwn(values, name)) values[spelling] = values[name];
  }
}

/**
 * Parses command line arguments into an object of options, positional arguments under `_`. What
 * follows `--` is positional. A repeated option that is not collected keeps its last value.
 *
 * @param args The arguments, without the program's name
 */
export function parseArgs<
  B extends Name = undefined,
  S extends Name = undefined,
  C extends Name = undefined,
  N extends Name = undefined,
  const D extends Record<string, unknown> | undefined = undefined,
>(args: string[], options: ParseOptions<B, S, C, N, D> = {}): Args<B, S, C, N, D> {
  const declared = declare(options as ParseOptions);
  const collector = new Collector(declared, options.unknown);
  const table = nodeOptions(declared);
  let start = 0;
  while (start < args.length) {
    start = consume(args, start, table, collector, options.stopEarly ?? false);
  }
  fillDefaults(collector.values, declared, options.default ?? {});
  return { ...collector.values, _: collector.positionals } as unknown as Args<B, S, C, N, D>;
}
