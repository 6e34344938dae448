/**
 * my_mode: what it does and the paper it comes from.
 *
 * As it stands this is DPO at a fixed beta, with its loss written out. Change what your loss does
 * differently and delete what you do not need; `deno task check-mode my_mode` says what is wrong.
 */
import type { LossMode } from "../losses/loss_mode.ts";
import { batchMargins } from "../losses/margin.ts";
import { logistic } from "../losses/margin_losses.ts";
import { sumOverPairs } from "../losses/own_loss.ts";

/** Saved in every checkpoint: plain JSON. Without anything to remember it is `null`. */
type State = null;

const myMode: LossMode<State> = {
  // The file's name without ".ts".
  name: "my_mode",
  // One line, shown by `deno task modes`.
  help: "DPO at a fixed beta, the loss written out",
  // Raise it when the state changes its form: older checkpoints are then refused, not misread.
  version: 1,
  // What a config may set in its section "my_mode"; checked before a run starts.
  options: {
    beta: { type: "number", default: 0.1, above: 0, help: "Strength of the pull to the reference" },
  },
  // reference: "none", "logps" or "live". rows: "pairs", "single" or "unpaired". scope: "pair" when
  // pairs do not depend on each other, "micro" when `decide` looks at the batch, "step" when at all
  // batches of an optimizer step.
  needs: () => ({ reference: "logps", scope: "pair", rows: "pairs" }),
  init: () => null,
  baseBeta: (options) => options.beta as number,

  // Everything that counts as a constant in the derivative: beta, the weight of each pair (absent:
  // 1/B each), the next state. It must not change what it is given. In evaluation
  // (`context.training` is false) the state must come back as it was.
  decide(_batch, state, options) {
    const beta = options.beta as number;
    return { beta, state, metrics: { "dpo/beta": beta } };
  },

  // What is differentiated. Delete this function when your idea only chooses beta and weights: then
  // `loss_type` in the config says what is done with them, sigmoid where it says nothing.
  loss(batch, decision) {
    // margins[i] = (policy - reference) of the chosen answer minus that of the rejected one, in nats.
    const margins = batchMargins(batch);
    const beta = decision.beta as number;
    // The weighted sum over the pairs. `logistic(x)` is -log sigmoid(x) and its derivative.
    const { loss, perPair, seeds } = sumOverPairs(batch, decision, (i) => {
      const { loss, slope } = logistic(beta * margins[i]);
      // d loss / d log-probability of the chosen and of the rejected answer.
      return { loss, chosen: beta * slope, rejected: -beta * slope };
    });
    // Without `seeds` here the derivatives are taken numerically from `loss`: right, only slower.
    return { loss, perPair, seeds };
  },
};

export default myMode;
