/**
 * A mode that tells when one of its functions is entered and left, for whoever looks after functions
 * that never return. The numbers are those of the mode itself.
 */
import type { Json, LossMode, ScoreBatch, StepContext } from "./loss_mode.ts";
import { guarded } from "./mode_checks.ts";

/** A call into a mode, as far as its place is known. */
export interface ModeCall {
  readonly mode: string;
  /** The function, or `load` for the file itself. */
  readonly part: string;
  /** False in evaluation. */
  readonly training?: boolean;
  readonly optimizerStep?: number;
  readonly microStep?: number;
  /** Stable dataset row ids of the decision set. */
  readonly rows?: readonly number[];
}

/** Is told of every call, on the thread of the mode. Calls do not nest. */
export interface ModeWatch {
  enter(call: ModeCall): void;
  leave(): void;
}

type CallPlace = Omit<ModeCall, "mode" | "part">;

function placeOf(context: StepContext, batch?: ScoreBatch): CallPlace {
  const { training, optimizerStep, microStep } = context;
  return { training, optimizerStep, microStep, rows: batch && [...batch.rows] };
}

/** The same mode, watched; what its functions beside the steps throw names it. */
export function watchMode(mode: LossMode, watch: ModeWatch): LossMode {
  const { name } = mode;
  /** `loss` is not told where the run stands; it follows its `decide`. */
  let last: CallPlace = {};
  const watched = <T>(part: string, place: CallPlace, run: () => T): T => {
    watch.enter({ mode: name, part, ...place });
    try {
      return run();
    } finally {
      watch.leave();
    }
  };
  const beside = <T>(part: string, run: () => T): T =>
    guarded(name, part, () => watched(part, {}, run));
  return {
    ...mode,
    name,
    help: mode.help,
    version: mode.version,
    options: mode.options,
    needs: (options) => beside("needs", () => mode.needs(options)),
    init: (options) => beside("init", () => mode.init(options)),
    baseBeta: mode.baseBeta && ((options) => beside("baseBeta", () => mode.baseBeta!(options))),
    remarks: mode.remarks &&
      ((options, run) => beside("remarks", () => mode.remarks!(options, run))),
    decide(batch, state: Json, options, context) {
      last = placeOf(context, batch);
      return watched("decide", last, () => mode.decide(batch, state, options, context));
    },
    loss: mode.loss &&
      ((batch, decision, options) =>
        watched("loss", last, () => mode.loss!(batch, decision, options))),
    onOptimizerStep: mode.onOptimizerStep && ((state, options, context) =>
      watched(
        "onOptimizerStep",
        placeOf(context),
        () => mode.onOptimizerStep!(state, options, context),
      )),
  };
}
