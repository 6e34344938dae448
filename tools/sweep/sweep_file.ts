/** Reads a sweep file: YAML text to a checked description, one error that lists what is wrong. */
import { z } from "zod";
import { ConfigError } from "../../trainer/error.ts";
import { type Mapping, readYaml } from "../../trainer/config/read_yaml.ts";

const settings = z.record(z.string(), z.unknown());

const common = {
  title: z.string().optional(),
  /** Labels of axes: other runs are not in the figure. */
  where: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
};

const figure = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("bars"),
    ...common,
    /** Axis along which groups stand, axis of the bars in a group, and what their height is. */
    group: z.string(),
    bar: z.string(),
    value: z.string(),
    /** Where bars begin: 0.5 for a win rate, which is that of a model against itself. */
    base: z.number().default(0),
  }),
  z.strictObject({
    kind: z.literal("frontier"),
    ...common,
    /** Two metrics, and the axes that a point and a line stand for. */
    x: z.string(),
    y: z.string(),
    line: z.string(),
  }),
  z.strictObject({
    kind: z.literal("curves"),
    ...common,
    /** A key of metrics.jsonl over the steps; one line for each value of these axes together. */
    value: z.string(),
    line: z.union([z.string(), z.array(z.string())]),
    log: z.boolean().default(false),
  }),
]);

const schema = z.strictObject({
  config: z.string(),
  set: settings.default({}),
  example: settings.optional(),
  tuned: z.strictObject({
    sweep: z.string(),
    by: z.string(),
    axis: z.string(),
  }).optional(),
  axes: z.record(z.string(), z.unknown()).refine((axes) => Object.keys(axes).length > 0, {
    error: "expected at least one axis",
  }),
  exclude: z.array(settings).default([]),
  measure: z.strictObject({
    set: z.enum(["validation", "test"]).default("test"),
    prompts: z.int().min(1).default(256),
    samples: z.int().min(1).default(2),
    max_new_tokens: z.int().min(1).default(24),
  }).prefault({}),
  keep: z.enum(["models", "results"]).default("models"),
  show: z.array(z.string()).default([]),
  figures: z.array(figure).default([]),
  quick: z.strictObject({
    set: settings.default({}),
    example: settings.default({}),
    axes: z.record(z.string(), z.unknown()).default({}),
    measure: settings.default({}),
  }).optional(),
});

export type Figure = z.output<typeof figure>;

export type SweepFile = Omit<z.output<typeof schema>, "quick"> & {
  /** Opening of messages about the file. */
  readonly head: string;
  /** Whether the values of `quick:` were laid over the others. */
  readonly isQuick: boolean;
};

/**
 * A sweep file's text, checked; `quick` lays its section `quick` over the rest: axes named there replace
 * those of the same name.
 *
 * @param file its name in messages
 * @throws ConfigError with everything that is wrong
 */
export function readSweep(text: string, file: string, quick = false): SweepFile {
  const head = `Cannot read sweep "${file}"`;
  const whole = check(readYaml(text, head), head);
  const { quick: small, ...rest } = whole;
  if (!quick) return { ...rest, head, isQuick: false };
  if (!small) throw new ConfigError(`${head}: it has no section "quick" for --quick`);
  for (const name of Object.keys(small.axes)) {
    if (!Object.hasOwn(rest.axes, name)) {
      throw new ConfigError(`${head}: "quick.axes" names "${name}", which is no axis of the sweep`);
    }
  }
  const laid = {
    ...rest,
    set: { ...rest.set, ...small.set },
    example: rest.example && { ...rest.example, ...small.example },
    axes: { ...rest.axes, ...small.axes },
    measure: { ...rest.measure, ...small.measure },
  };
  return { ...laid, ...check(laid as unknown as Mapping, head), head, isQuick: true };
}

function check(tree: Mapping, head: string): z.output<typeof schema> {
  const result = schema.safeParse(tree);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) =>
    `  ${issue.path.join(".") || "the file"}: ${issue.message}`
  );
  throw new ConfigError(`${head}:\n${lines.join("\n")}`);
}
