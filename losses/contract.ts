/**
 * The contract suite: what every mode must keep, checked from outside. It returns findings instead of
 * throwing, so that it serves tests, a command and the author of a new mode alike.
 */
import { extremeBatches, makeContext, ordinaryBatch } from "./contract_batches.ts";
import type { Json, LossMode, Options, ScoreBatch, Seeds, StepContext } from "./loss_mode.ts";
import { NARROW_STEP, numericSeeds, STEP } from "./numeric_seeds.ts";
import { checkOption, defaultOptions, validateOptions } from "./options.ts";
import {
  decidePairLosses,
  mixPairLosses,
  type PairLossChoice,
  type PairLossStates,
} from "./pair_loss.ts";
import { defaultPairLoss, type ModeOutcome, runMode } from "./run_mode.ts";
import { splitStates } from "./run_state.ts";

/** One broken promise. */
export interface Finding {
  readonly check:
    | "name"
    | "options"
    | "state"
    | "gradient"
    | "evaluation"
    | "repeatable"
    | "finite"
    | "inputs"
    | "lengths";
  readonly detail: string;
}

/** What a mode is checked with. */
export interface ContractSettings {
  /** The file's name without `.ts`. */
  readonly fileName: string;
  /** Options besides the defaults, e.g. a warm-up short enough to be passed. */
  readonly options?: Options;
  readonly lossTypes?: readonly PairLossChoice[];
}

/** A mode with everything fixed but the batch. */
interface Subject {
  readonly mode: LossMode;
  readonly options: Options;
  readonly lossTypes: readonly PairLossChoice[];
}

const CALLS = 4;
const SIZE = 10;

function run(subject: Subject, batch: ScoreBatch, state: Json, context: StepContext) {
  return runMode(subject.mode, batch, state, subject.options, context, subject.lossTypes);
}

/** A few training calls in a row from the initial state; every state passes through `keep`. */
function trace(subject: Subject, keep: (state: Json) => Json): ModeOutcome[] {
  const outcomes: ModeOutcome[] = [];
  let state = keep(subject.mode.init(subject.options));
  for (let call = 0; call < CALLS; call++) {
    const batch = ordinaryBatch(subject.mode.needs(subject.options), SIZE, call);
    const outcome = run(subject, batch, state, makeContext(true, call));
    outcomes.push(outcome);
    state = keep(outcome.state);
  }
  return outcomes;
}

/** Text of anything, typed arrays number by number: equal text, equal bytes. */
function fingerprint(value: unknown): string {
  return JSON.stringify(value, (_, item) => {
    if (ArrayBuffer.isView(item)) return Array.from(item as Float64Array, String);
    return Object.is(item, -0) ? "-0" : item;
  }) ?? "undefined";
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}

function* checkName({ mode }: Subject, fileName: string): Generator<string> {
  if (!/^[a-z][a-z0-9_]*$/.test(mode.name)) yield `"${mode.name}" is not lower-case snake_case`;
  if (mode.name === "mod") yield '"mod" is the name of the registry';
  if (mode.name !== fileName) yield `"${mode.name}" is not the file's name "${fileName}"`;
  if (!Number.isInteger(mode.version) || mode.version < 1) yield `version is "${mode.version}"`;
  if (!mode.help.trim() || mode.help.includes("\n")) yield "help must be one line";
}

function* checkOptions({ mode, options }: Subject): Generator<string> {
  for (const [name, spec] of Object.entries(mode.options)) {
    if (!/^[a-z][a-z0-9_]*$/i.test(name)) yield `"${name}" is no option name`;
    if (!spec.help.trim() || spec.help.includes("\n")) yield `help of "${name}" must be one line`;
    yield* failure(() => checkOption(`${mode.name}.${name}`, spec, spec.default));
  }
  yield* failure(() => validateOptions(mode.name, mode.options, options));
  yield* failure(() => mode.baseBeta?.(options));
}

/** The message of what `attempt` throws, if it does. */
function* failure(attempt: () => unknown): Generator<string> {
  try {
    attempt();
  } catch (cause) {
    yield cause instanceof Error ? cause.message : String(cause);
  }
}

/** A state that went through JSON goes on exactly as one that did not. */
function* checkState(subject: Subject): Generator<string> {
  const kept = trace(subject, (state) => state);
  const saved = trace(subject, (state) => JSON.parse(JSON.stringify(state)));
  for (let call = 0; call < CALLS; call++) {
    if (fingerprint(kept[call]) !== fingerprint(saved[call])) {
      yield `call ${call + 1} differs after its state went through JSON`;
    }
  }
}

function* checkRepeatable(subject: Subject): Generator<string> {
  const [first, again] = [trace(subject, (state) => state), trace(subject, (state) => state)];
  for (let call = 0; call < CALLS; call++) {
    if (fingerprint(first[call]) !== fingerprint(again[call])) {
      yield `call ${call + 1} differs when repeated with the same input`;
    }
  }
}

/** Seeds against central differences of the loss, the decision held. */
function* checkGradient({ mode, options, lossTypes }: Subject): Generator<string> {
  let state: Json = mode.init(options);
  let states: PairLossStates = {};
  for (let call = 0; call < CALLS; call++) {
    const batch = ordinaryBatch(mode.needs(options), SIZE, call);
    const decision = mode.decide(batch, state, options, makeContext(true, call));
    state = decision.state;
    const pair = decidePairLosses(batch, decision, mode.loss ? [] : lossTypes, states, true);
    states = pair.states;
    const evaluate = (scores: ScoreBatch) =>
      mode.loss
        ? mode.loss(scores, decision, options)
        : mixPairLosses(scores, decision, lossTypes, pair.aux);
    const { seeds } = evaluate(batch);
    if (!seeds) continue;
    const differences = (step: number) => numericSeeds(batch, (b) => evaluate(b).loss, step);
    for (const detail of wrongSeeds(seeds, differences)) {
      yield detail;
      return;
    }
  }
}

/** Seeds that are no derivative: with the usual step nor, where a kink is near, with a narrow one. */
function* wrongSeeds(seeds: Seeds, differences: (step: number) => Seeds): Generator<string> {
  const wide = differences(STEP);
  const parts = ["chosen", "rejected", "prompt"] as const;
  // Of all parts: where the seeds of one nearly cancel, their rounding is that of the others.
  let scale = 1e-12;
  for (const part of parts) for (const x of wide[part] ?? []) scale = Math.max(scale, Math.abs(x));
  let narrow: Seeds | undefined;
  for (const part of parts) {
    const [found, wanted] = [seeds[part], wide[part]];
    if (!found || !wanted) continue;
    const close = (row: number, x: number) => Math.abs(found[row] - x) <= 1e-7 * scale;
    for (let row = 0; row < wanted.length; row++) {
      if (close(row, wanted[row])) continue;
      narrow ??= differences(NARROW_STEP);
      if (close(row, narrow[part]![row])) continue;
      yield `seed of ${part} row ${row} is ${found[row]}, differences give ${wanted[row]}`;
    }
  }
}

/** Evaluation needs no random numbers, gives the state back and leaves what follows alone. */
function* checkEvaluation(subject: Subject): Generator<string> {
  const { mode, options } = subject;
  const batch = ordinaryBatch(mode.needs(options), SIZE, 50);
  const trained = trace(subject, (state) => state).at(-1)!.state;
  const { own } = splitStates(trained);
  const before = fingerprint(own);
  const decided = mode.decide(batch, own, options, makeContext(false, CALLS));
  if (fingerprint(decided.state) !== before) yield "the state changes in evaluation";
  const first = run(subject, batch, trained, makeContext(false, CALLS));
  const later = run(subject, batch, trained, makeContext(false, CALLS + 3));
  if (first.loss !== later.loss) yield "the loss in evaluation depends on the step";
  const plain = fingerprint(run(subject, batch, trained, makeContext(true, CALLS)));
  run(subject, batch, trained, makeContext(false, CALLS));
  if (fingerprint(run(subject, batch, trained, makeContext(true, CALLS))) !== plain) {
    yield "an evaluation changes the training call after it";
  }
}

/** At extremes and at one pair, from the first state and from a trained one. */
function* checkFinite(subject: Subject): Generator<string> {
  const trained = trace(subject, (state) => state).at(-1)!.state;
  for (const { name, batch } of extremeBatches(subject.mode.needs(subject.options))) {
    for (const state of [subject.mode.init(subject.options), trained]) {
      for (const training of [true, false]) {
        for (const message of failure(() => run(subject, batch, state, makeContext(training, 9)))) {
          yield `${name}: ${message}`;
        }
      }
    }
  }
}

/** Frozen state and options, and typed arrays (which cannot be frozen) compared with before. */
function* checkInputs(subject: Subject): Generator<string> {
  const { mode } = subject;
  const options = deepFreeze({ ...subject.options });
  const state = deepFreeze(trace(subject, (kept) => kept).at(-1)!.state);
  for (const training of [true, false]) {
    const batch = ordinaryBatch(mode.needs(options), SIZE, 60);
    const before = fingerprint([batch, state]);
    const context = makeContext(training, CALLS);
    yield* failure(() => run({ ...subject, options }, batch, state, context));
    if (fingerprint([batch, state]) !== before) yield "batch or state is changed in place";
  }
}

/** Every array has one number a row, at several sizes. */
function* checkLengths(subject: Subject): Generator<string> {
  const { mode, options } = subject;
  for (const size of [1, 2, 3, 17, 64]) {
    const batch = ordinaryBatch(mode.needs(options), size, size);
    yield* failure(() => run(subject, batch, mode.init(options), makeContext(true, 0)));
  }
}

/**
 * Every way in which a mode breaks the contract; empty for a good one.
 *
 * @param settings the file's name, and options or pair losses other than the defaults
 */
export function checkContract(mode: LossMode, settings: ContractSettings): Finding[] {
  const options = { ...defaultOptions(mode.options), ...settings.options };
  const subject = { mode, options, lossTypes: settings.lossTypes ?? defaultPairLoss };
  const checks: [Finding["check"], () => Generator<string>][] = [
    ["name", () => checkName(subject, settings.fileName)],
    ["options", () => checkOptions(subject)],
    ["state", () => checkState(subject)],
    ["gradient", () => checkGradient(subject)],
    ["evaluation", () => checkEvaluation(subject)],
    ["repeatable", () => checkRepeatable(subject)],
    ["finite", () => checkFinite(subject)],
    ["inputs", () => checkInputs(subject)],
    ["lengths", () => checkLengths(subject)],
  ];
  const findings: Finding[] = [];
  for (const [check, find] of checks) {
    // A mode that throws in one check must not hide the others.
    for (
      const thrown of failure(() => {
        for (const detail of find()) findings.push({ check, detail });
      })
    ) findings.push({ check, detail: thrown });
  }
  return findings;
}
