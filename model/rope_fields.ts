/**
 * The rotary embedding of a `config.json`: `rope_theta` at the top and `rope_scaling` (transformers 4), or
 * all of it inside `rope_parameters` (transformers 5). What is not implemented is refused by name.
 */
import type { Rotary, RotaryScaling } from "./architecture.ts";
import { type Fields, isPositive } from "./config_reader.ts";
import { isJsonObject, type JsonObject } from "./strict_json.ts";

/** What a model type has where the file says nothing, and what it allows. */
export interface RopeRules {
  readonly headDim: number;
  /** Field of theta at the top of the file, and its default. */
  readonly thetaField: string;
  readonly theta: number;
  /** Field of the share of a head that turns, and its default; absent: all of it. */
  readonly shareField?: string;
  readonly share?: number;
  /** Whether frequencies may be scaled; default yes. */
  readonly scalable?: boolean;
}

/** What one rope object says; undefined where it says nothing. */
interface RopeObject {
  readonly theta?: number;
  readonly share?: number;
  /** Absent where the object has no type. */
  readonly scaling?: RotaryScaling | null;
}

const KEYS = {
  linear: ["factor"],
  llama3: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
} as const;

/** Reads one kind of rotary embedding. `objects`: names and values of the rope objects to look at. */
export function readRotary(
  fields: Fields,
  rules: RopeRules,
  objects: readonly (readonly [string, unknown])[] = [
    ["rope_parameters", fields.raw.rope_parameters],
    ["rope_scaling", fields.raw.rope_scaling],
  ],
): Rotary {
  const found: [string, RopeObject][] = [];
  for (const [name, value] of objects) {
    const object = ropeObject(fields, name, value ?? null, rules);
    if (object) found.push([name, object]);
  }
  const theta = agreed(fields, found, "theta", "rope_theta");
  const value = fields.positive(rules.thetaField, theta ?? rules.theta);
  if ((fields.raw[rules.thetaField] ?? null) !== null && theta !== undefined && theta !== value) {
    fields.fail(rules.thetaField, `rope_parameters or rope_scaling has ${theta}`);
  }
  const scaling = agreed(fields, found, "scaling", "rope_type") ?? null;
  const share = agreed(fields, found, "share", "partial_rotary_factor");
  const holder = found.find(([, object]) => object.share !== undefined)?.[0];
  return { theta: value, width: rotaryWidth(fields, rules, share, holder), scaling };
}

/** What all objects that say something say. */
function agreed<K extends keyof RopeObject>(
  fields: Fields,
  found: readonly [string, RopeObject][],
  key: K,
  label: string,
): RopeObject[K] {
  const [first, ...others] = found.filter(([, object]) => object[key] !== undefined);
  for (const [name, object] of others) {
    if (JSON.stringify(object[key]) !== JSON.stringify(first[1][key])) {
      fields.fail(name, `its ${label} differs from that of ${first[0]}`);
    }
  }
  return first?.[1][key];
}

function ropeObject(
  fields: Fields,
  name: string,
  rope: unknown,
  rules: RopeRules,
): RopeObject | undefined {
  if (rope === null) return undefined;
  if (!isJsonObject(rope)) return fields.fail(name, "it must be null or an object", rope);
  const type = rope.rope_type ?? rope.type ?? null;
  const typeKey = rope.rope_type === undefined ? "type" : "rope_type";
  if (type !== null && type !== "default" && (type !== "linear" && type !== "llama3")) {
    return fields.fail(`${name}.${typeKey}`, "supported are default, linear, llama3", type);
  }
  if (type !== null && type !== "default" && rules.scalable === false) {
    return fields.fail(`${name}.${typeKey}`, "models of this type only have default", type);
  }
  const kind = type === "default" ? null : type;
  checkKeys(fields, name, rope, kind);
  const positive = (key: string) =>
    isPositive(rope[key])
      ? rope[key]
      : fields.fail(`${name}.${key}`, "it must be a positive number", rope[key]);
  const given = (key: string) => (rope[key] ?? null) === null ? undefined : positive(key);
  const scaling: RotaryScaling | null = kind === null
    ? null
    : kind === "linear"
    ? { kind, factor: positive("factor") }
    : {
      kind,
      factor: positive("factor"),
      lowFreqFactor: positive("low_freq_factor"),
      highFreqFactor: positive("high_freq_factor"),
      originalMaxPositionEmbeddings: positive("original_max_position_embeddings"),
    };
  if (scaling?.kind === "llama3" && scaling.highFreqFactor <= scaling.lowFreqFactor) {
    fields.fail(
      `${name}.high_freq_factor`,
      "it must be above low_freq_factor",
      rope.high_freq_factor,
    );
  }
  return {
    theta: given("rope_theta"),
    share: given("partial_rotary_factor"),
    ...type === null ? {} : { scaling },
  };
}

function checkKeys(
  fields: Fields,
  name: string,
  rope: JsonObject,
  kind: keyof typeof KEYS | null,
): void {
  const known = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
  if (kind !== null) known.push(...KEYS[kind]);
  for (const [key, value] of Object.entries(rope)) {
    if (value === null || known.includes(key)) continue;
    fields.fail(
      `${name}.${key}`,
      `a rotary embedding of type ${kind ?? "default"} has none`,
      value,
    );
  }
}

/** Values of a head that turn; as in transformers, the product is cut to an integer. */
function rotaryWidth(
  fields: Fields,
  rules: RopeRules,
  inner: number | undefined,
  holder: string | undefined,
): number {
  const { headDim, shareField = "partial_rotary_factor" } = rules;
  const outer = (fields.raw[shareField] ?? null) === null
    ? undefined
    : fields.positive(shareField, 1);
  if (outer !== undefined && inner !== undefined && outer !== inner) {
    fields.fail(shareField, `rope_parameters or rope_scaling has ${inner}`);
  }
  const share = inner ?? outer ?? rules.share ?? 1;
  const field = holder === undefined ? shareField : `${holder}.partial_rotary_factor`;
  if (rules.share === undefined && share !== 1) {
    fields.fail(field, "models of this type only have 1", share);
  }
  const width = Math.trunc(headDim * share);
  if (share > 1 || width < 4 || width % 4 !== 0) {
    fields.fail(
      field,
      `of a head of ${headDim} values ${width} turn: it must be a multiple of 4, at most the head`,
      share,
    );
  }
  return width;
}
