/**
 * The one state a run keeps: the mode's own, and beside it that of the pair losses where one keeps a
 * state. Without such a loss it is the mode's state as it is, so that adding or dropping the loss
 * between two runs does no harm: what is new starts anew, what is gone is dropped.
 */
import type { Json } from "./loss_mode.ts";
import { ModeError } from "./mode_error.ts";
import type { PairLossStates } from "./pair_loss.ts";

/** A state in its two parts. */
export interface StateParts {
  /** The mode's own. */
  readonly own: Json;
  /** By type of pair loss; empty where none keeps a state. */
  readonly pairLosses: PairLossStates;
}

function isJoined(
  state: Json,
): state is { readonly mode: Json; readonly pair_losses: PairLossStates } {
  return typeof state === "object" && state !== null && !Array.isArray(state) &&
    Object.keys(state).sort().join() === "mode,pair_losses";
}

/** The parts of a state, whether it has one or two. */
export function splitStates(state: Json): StateParts {
  return isJoined(state)
    ? { own: state.mode, pairLosses: state.pair_losses }
    : { own: state, pairLosses: {} };
}

/**
 * One state of both parts.
 *
 * @throws ModeError when a mode's own state cannot be told from a joined one
 */
export function joinStates(own: Json, pairLosses: PairLossStates): Json {
  if (isJoined(own)) {
    throw new ModeError(
      'The state has the members "mode" and "pair_losses" and no others, which the states of pair losses are saved under: rename one',
    );
  }
  return Object.keys(pairLosses).length === 0 ? own : { mode: own, pair_losses: pairLosses };
}
