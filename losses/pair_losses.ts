/**
 * Losses of one preference pair at a given beta, by TRL's names. A mode decides beta and weights; the
 * pair loss says what is done with them, so that any mode takes any of these.
 *
 * Symbols: c and r are policy minus reference of chosen and rejected, h = c - r the margin,
 * L the number of scored tokens, s the logistic function. Formulas as in TRL's `DPOTrainer`
 * (huggingface/trl, `loss_type`); derivatives are with respect to the summed policy log-probabilities.
 */
import type { Options, OptionTable } from "./loss_mode.ts";
import { logSigmoid, sigmoid } from "./log_sigmoid.ts";

/** Summed log-probabilities (nats) and token counts of one pair. */
export interface PairScores {
  readonly chosenPolicy: number;
  readonly rejectedPolicy: number;
  /** 0 where the loss needs no reference. */
  readonly chosenReference: number;
  readonly rejectedReference: number;
  readonly chosenLength: number;
  readonly rejectedLength: number;
}

/** Loss of one pair and its derivatives. */
export interface PairValue {
  readonly loss: number;
  /** d loss / d chosenPolicy. */
  readonly chosen: number;
  /** d loss / d rejectedPolicy. */
  readonly rejected: number;
}

/** A pair loss without state. */
export interface PairLoss {
  /** TRL's name. */
  readonly name: string;
  /** One line: the formula and the paper. */
  readonly help: string;
  readonly reference: "none" | "logps";
  readonly options: OptionTable;
  evaluate(pair: PairScores, beta: number, options: Options): PairValue;
}

/** Losses and logits stop here, so that a sum over a batch cannot overflow; no training gets near. */
const LARGEST = 1e307;

function bounded(x: number): number {
  return Math.min(Math.max(x, -LARGEST), LARGEST);
}

function differences(pair: PairScores) {
  const c = pair.chosenPolicy - pair.chosenReference;
  const r = pair.rejectedPolicy - pair.rejectedReference;
  return { c, r, h: c - r };
}

/** Value of a loss of the margin alone: the rejected answer's derivative is the negative. */
function ofMargin(loss: number, derivative: number): PairValue {
  return { loss: bounded(loss), chosen: derivative, rejected: -derivative };
}

/** Label smoothing of one loss; TRL writes it beside `loss_type`. */
function labelSmoothing(spec: { default: number; above?: number; below: number }): OptionTable {
  return {
    label_smoothing: {
      type: "number",
      min: 0,
      ...spec,
      from: ["label_smoothing"],
      help: "Assumed share of flipped preference labels",
    },
  };
}

function sigmoidLoss(pair: PairScores, beta: number, options: Options): PairValue {
  const e = options.label_smoothing as number;
  const x = bounded(beta * differences(pair).h);
  // Without smoothing the second term would be 0 * log, which is one product too many.
  if (e === 0) return ofMargin(-logSigmoid(x), -beta * sigmoid(-x));
  return ofMargin(
    -(1 - e) * logSigmoid(x) - e * logSigmoid(-x),
    beta * (e * sigmoid(x) - (1 - e) * sigmoid(-x)),
  );
}

function hingeLoss(pair: PairScores, beta: number): PairValue {
  const slack = 1 - bounded(beta * differences(pair).h);
  return ofMargin(Math.max(0, slack), slack > 0 ? -beta : 0);
}

function ipoLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const x = c / pair.chosenLength - r / pair.rejectedLength - 1 / (2 * beta);
  return {
    loss: bounded(x * x),
    chosen: 2 * x / pair.chosenLength,
    rejected: -2 * x / pair.rejectedLength,
  };
}

function robustLoss(pair: PairScores, beta: number, options: Options): PairValue {
  const e = options.label_smoothing as number;
  const x = bounded(beta * differences(pair).h);
  return ofMargin(
    (-(1 - e) * logSigmoid(x) + e * logSigmoid(-x)) / (1 - 2 * e),
    -beta * ((1 - e) * sigmoid(-x) + e * sigmoid(x)) / (1 - 2 * e),
  );
}

function exoPairLoss(pair: PairScores, beta: number, options: Options): PairValue {
  const e = options.label_smoothing as number;
  const x = bounded(beta * differences(pair).h);
  const [win, lose] = [sigmoid(x), sigmoid(-x)];
  return ofMargin(
    win * (logSigmoid(x) - Math.log1p(-e)) + lose * (logSigmoid(-x) - Math.log(e)),
    beta * win * lose * (x - Math.log1p(-e) + Math.log(e)),
  );
}

function ncaPairLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const [x, y] = [bounded(beta * c), bounded(beta * r)];
  return {
    loss: bounded(-logSigmoid(x) - 0.5 * logSigmoid(-x) - 0.5 * logSigmoid(-y)),
    chosen: beta * (0.5 * sigmoid(x) - sigmoid(-x)),
    rejected: 0.5 * beta * sigmoid(y),
  };
}

function bcoPairLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const [x, y] = [bounded(beta * c), bounded(beta * r)];
  return {
    loss: bounded(-logSigmoid(x) - logSigmoid(-y)),
    chosen: -beta * sigmoid(-x),
    rejected: beta * sigmoid(y),
  };
}

function sppoHardLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const [x, y] = [c - 0.5 / beta, r + 0.5 / beta];
  return { loss: bounded(x * x + y * y), chosen: 2 * x, rejected: 2 * y };
}

function apoZeroLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const [x, y] = [bounded(beta * c), bounded(beta * r)];
  return {
    loss: sigmoid(-x) + sigmoid(y),
    chosen: -beta * sigmoid(x) * sigmoid(-x),
    rejected: beta * sigmoid(y) * sigmoid(-y),
  };
}

function apoDownLoss(pair: PairScores, beta: number): PairValue {
  const { c, h } = differences(pair);
  const [x, z] = [bounded(beta * c), bounded(beta * h)];
  const slope = beta * sigmoid(z) * sigmoid(-z);
  return {
    loss: sigmoid(x) + sigmoid(-z),
    chosen: beta * sigmoid(x) * sigmoid(-x) - slope,
    rejected: slope,
  };
}

function discopopLoss(pair: PairScores, beta: number, options: Options): PairValue {
  const temperature = options.temperature as number;
  const x = bounded(beta * differences(pair).h);
  const mix = sigmoid(x / temperature);
  const slope = mix * sigmoid(-x / temperature) / temperature;
  // The exponent is clamped as in float32 code: e^80 is far beyond any use and still finite.
  const exponential = Math.exp(Math.min(-x, 80));
  const log = logSigmoid(x);
  return ofMargin(
    -log * (1 - mix) + exponential * mix,
    beta * (-sigmoid(-x) * (1 - mix) + (exponential + log) * slope - exponential * mix),
  );
}

function sigmoidNormLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const x = bounded(beta * (c / pair.chosenLength - r / pair.rejectedLength));
  const slope = -beta * sigmoid(-x);
  return {
    loss: bounded(-logSigmoid(x)),
    chosen: slope / pair.chosenLength,
    rejected: -slope / pair.rejectedLength,
  };
}

/** All pair losses; a new one is a function above and an entry here. */
export const pairLosses: readonly PairLoss[] = [
  {
    name: "sigmoid",
    help: "-log s(beta h): DPO, arXiv 2305.18290; with label_smoothing conservative DPO",
    reference: "logps",
    options: labelSmoothing({ default: 0, below: 1 }),
    evaluate: sigmoidLoss,
  },
  {
    name: "hinge",
    help: "max(0, 1 - beta h): SLiC's hinge on the margin, arXiv 2305.10425",
    reference: "logps",
    options: {},
    evaluate: hingeLoss,
  },
  {
    name: "ipo",
    help: "(c/L - r/L - 1/(2 beta))^2: IPO with token averages, arXiv 2310.12036",
    reference: "logps",
    options: {},
    evaluate: ipoLoss,
  },
  {
    name: "robust",
    help: "Unbiased under flipped labels, arXiv 2403.00409",
    reference: "logps",
    options: labelSmoothing({ default: 0, below: 0.5 }),
    evaluate: robustLoss,
  },
  {
    name: "exo_pair",
    help: "Reverse KL to the smoothed preference, arXiv 2402.00856",
    reference: "logps",
    options: labelSmoothing({ default: 1e-3, above: 0, below: 0.5 }),
    evaluate: exoPairLoss,
  },
  {
    name: "nca_pair",
    help: "-log s(beta c) - 1/2 log s(-beta c) - 1/2 log s(-beta r): NCA, arXiv 2402.05369",
    reference: "logps",
    options: {},
    evaluate: ncaPairLoss,
  },
  {
    name: "bco_pair",
    help: "-log s(beta c) - log s(-beta r): BCO without the running shift, arXiv 2404.04656",
    reference: "logps",
    options: {},
    evaluate: bcoPairLoss,
  },
  {
    name: "sppo_hard",
    help: "(c - 1/(2 beta))^2 + (r + 1/(2 beta))^2: SPPO with hard labels, arXiv 2405.00675",
    reference: "logps",
    options: {},
    evaluate: sppoHardLoss,
  },
  {
    name: "apo_zero",
    help: "1 - s(beta c) + s(beta r): raises chosen, lowers rejected, arXiv 2408.06266",
    reference: "logps",
    options: {},
    evaluate: apoZeroLoss,
  },
  {
    name: "apo_down",
    help: "s(beta c) + 1 - s(beta h): lowers both, rejected more, arXiv 2408.06266",
    reference: "logps",
    options: {},
    evaluate: apoDownLoss,
  },
  {
    name: "discopop",
    help: "Log-ratio modulated mix of logistic and exponential loss, arXiv 2406.08414",
    reference: "logps",
    options: {
      temperature: {
        type: "number",
        default: 0.05,
        above: 0,
        from: ["discopop_tau"],
        help: "Temperature of the mix (TRL's discopop_tau)",
      },
    },
    evaluate: discopopLoss,
  },
  {
    name: "sigmoid_norm",
    help: "-log s(beta (c/L - r/L)): DPO on token averages",
    reference: "logps",
    options: {},
    evaluate: sigmoidNormLoss,
  },
];
