/**
 * epsilon-DPO: a beta for each pair, one step up or down where the pair's gap moves one way under
 * logits a little further from, and a little nearer to, the reference (arXiv 2502.13177). The base
 * beta follows the mean step after every optimizer step.
 */
import type { LossMode, ScoreBatch } from "../losses/loss_mode.ts";
import { batchMargins } from "../losses/margin.ts";
import { mean } from "../losses/running_stats.ts";

/** The base beta, and the mean step of the decisions since the last optimizer step. */
type EpsilonDpoState = { readonly beta: number; readonly step: number };

const options = {
  beta: {
    type: "number",
    default: 0.01,
    above: 0,
    from: ["beta_update.beta_0"],
    help: "Base beta at the start",
  },
  epsilon: {
    type: "number",
    default: 0.01,
    above: 0,
    below: 1,
    help: "Share of a step: of the logits, and of beta",
  },
} as const satisfies LossMode["options"];

/**
 * 1 where the gap P+ - P- of a pair grows from minus over the policy to plus, -1 where it shrinks, 0
 * otherwise; a comparison with a number that is none is 0.
 */
function stepsOf({ chosen, rejected }: ScoreBatch): Float64Array {
  const [up, down] = [chosen.epsilonMix!, rejected!.epsilonMix!];
  return chosen.policy.map((p, i) => {
    const gap = p - rejected!.policy[i];
    const plus = up.plus[i] - down.plus[i];
    const minus = up.minus[i] - down.minus[i];
    if (plus > gap && gap > minus) return 1;
    return minus > gap && gap > plus ? -1 : 0;
  });
}

const epsilonDpo: LossMode<EpsilonDpoState> = {
  name: "epsilon_dpo",
  help: "epsilon-DPO: beta of each pair from logits nearer and further (arXiv 2502.13177)",
  version: 1,
  options,
  needs: (values) => ({
    reference: "live",
    scope: "micro",
    rows: "pairs",
    tokens: ["epsilonMix"],
    epsilon: values.epsilon as number,
  }),
  init: (values) => ({ beta: values.beta as number, step: 0 }),
  baseBeta: (values) => values.beta as number,

  decide(batch, state, values, { training, accumulation }) {
    const margin = mean(batchMargins(batch));
    const margins = Number.isFinite(margin) ? { "dpo/margin_mean": margin } : undefined;
    const common = { "dpo/beta": state.beta, "kl/beta": state.beta, ...margins };
    // All pairs at the base beta: comparable between pairs and over time.
    if (!training) return { beta: state.beta, state, metrics: common };
    const epsilon = values.epsilon as number;
    const steps = stepsOf(batch);
    const share = (step: number) => steps.filter((s) => s === step).length / batch.size;
    const average = mean(steps);
    return {
      beta: steps.map((step) => state.beta / (1 + epsilon * step)),
      state: { beta: state.beta, step: state.step + average / accumulation },
      metrics: {
        ...common,
        "kl/avg_steps": average,
        "kl/p_epsilon_steps": share(1),
        "kl/n_epsilon_steps": share(-1),
      },
    };
  },

  onOptimizerStep(state, values) {
    const beta = state.beta / (1 + (values.epsilon as number) * state.step);
    return { state: { beta, step: 0 }, metrics: { "kl/beta_next": beta } };
  },
};

export default epsilonDpo;
