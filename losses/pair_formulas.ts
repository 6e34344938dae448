/**
 * Formulas of the losses of one preference pair at a given beta; `pair_losses.ts` names them.
 *
 * Symbols: c and r are policy minus reference of chosen and rejected, h = c - r the margin,
 * L the number of scored tokens, s the logistic function. Formulas as in TRL's `DPOTrainer`
 * (huggingface/trl, `loss_type`); derivatives are with respect to the summed policy log-probabilities.
 */
import { bounded } from "./bounded.ts";
import { cappedExp } from "./f_divergence.ts";
import type { Options } from "./loss_mode.ts";
import { logSigmoid, sigmoid } from "./log_sigmoid.ts";
import { hinge, logistic } from "./margin_losses.ts";

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

function differences(pair: PairScores) {
  const c = pair.chosenPolicy - pair.chosenReference;
  const r = pair.rejectedPolicy - pair.rejectedReference;
  return { c, r, h: c - r };
}

/** Value of a loss of the margin alone: the rejected answer's derivative is the negative. */
function ofMargin(loss: number, derivative: number): PairValue {
  return { loss: bounded(loss), chosen: derivative, rejected: -derivative };
}

/** -log s(beta h), or with smoothing e: -(1 - e) log s(beta h) - e log s(-beta h). */
export function sigmoidLoss(pair: PairScores, beta: number, options: Options): PairValue {
  const { loss, slope } = logistic(
    beta * differences(pair).h,
    options.label_smoothing as number,
  );
  return ofMargin(loss, beta * slope);
}

/** max(0, 1 - beta h). */
export function hingeLoss(pair: PairScores, beta: number): PairValue {
  const { loss, slope } = hinge(beta * differences(pair).h);
  return ofMargin(loss, beta * slope);
}

/** (c/L - r/L - 1/(2 beta))^2; `reduction: sum` leaves the lengths out. */
export function ipoLoss(pair: PairScores, beta: number, options: Options): PairValue {
  const { c, r } = differences(pair);
  const sum = options.reduction === "sum";
  const [chosenLength, rejectedLength] = sum ? [1, 1] : [pair.chosenLength, pair.rejectedLength];
  const x = c / chosenLength - r / rejectedLength - 1 / (2 * beta);
  return {
    loss: bounded(x * x),
    chosen: 2 * x / chosenLength,
    rejected: -2 * x / rejectedLength,
  };
}

/** (-(1 - e) log s(x) + e log s(-x)) / (1 - 2 e), x = beta h. */
export function robustLoss(pair: PairScores, beta: number, options: Options): PairValue {
  const e = options.label_smoothing as number;
  const x = bounded(beta * differences(pair).h);
  return ofMargin(
    (-(1 - e) * logSigmoid(x) + e * logSigmoid(-x)) / (1 - 2 * e),
    -beta * ((1 - e) * sigmoid(-x) + e * sigmoid(x)) / (1 - 2 * e),
  );
}

/** Smoothing of exo_pair where none is asked for. */
export const EXO_SMOOTHING = 1e-3;

/** s(x)(log s(x) - log(1 - e)) + s(-x)(log s(-x) - log e), x = beta h. */
export function exoPairLoss(pair: PairScores, beta: number, options: Options): PairValue {
  // Without smoothing the target's logarithm is infinite: 0 stands for the default, as in TRL.
  const e = (options.label_smoothing as number) || EXO_SMOOTHING;
  const x = bounded(beta * differences(pair).h);
  const [win, lose] = [sigmoid(x), sigmoid(-x)];
  return ofMargin(
    win * (logSigmoid(x) - Math.log1p(-e)) + lose * (logSigmoid(-x) - Math.log(e)),
    beta * win * lose * (x - Math.log1p(-e) + Math.log(e)),
  );
}

/** -log s(beta c) - log s(-beta c) / 2 - log s(-beta r) / 2. */
export function ncaPairLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const [x, y] = [bounded(beta * c), bounded(beta * r)];
  return {
    loss: bounded(-logSigmoid(x) - 0.5 * logSigmoid(-x) - 0.5 * logSigmoid(-y)),
    chosen: beta * (0.5 * sigmoid(x) - sigmoid(-x)),
    rejected: 0.5 * beta * sigmoid(y),
  };
}

/**
 * -log s(beta c - shift) - log s(shift - beta r).
 *
 * @param shift subtracted from both rewards; a constant for the derivative
 */
export function bcoPairLoss(pair: PairScores, beta: number, shift: number): PairValue {
  const { c, r } = differences(pair);
  const [x, y] = [bounded(beta * c - shift), bounded(beta * r - shift)];
  return {
    loss: bounded(-logSigmoid(x) - logSigmoid(-y)),
    chosen: -beta * sigmoid(-x),
    rejected: beta * sigmoid(y),
  };
}

/** (c - 1/(2 beta))^2 + (r + 1/(2 beta))^2. */
export function sppoHardLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const [x, y] = [c - 0.5 / beta, r + 0.5 / beta];
  return { loss: bounded(x * x + y * y), chosen: 2 * x, rejected: 2 * y };
}

/** 1 - s(beta c) + s(beta r). */
export function apoZeroLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const [x, y] = [bounded(beta * c), bounded(beta * r)];
  return {
    loss: sigmoid(-x) + sigmoid(y),
    chosen: -beta * sigmoid(x) * sigmoid(-x),
    rejected: beta * sigmoid(y) * sigmoid(-y),
  };
}

/** s(beta c) + 1 - s(beta h). */
export function apoDownLoss(pair: PairScores, beta: number): PairValue {
  const { c, h } = differences(pair);
  const [x, z] = [bounded(beta * c), bounded(beta * h)];
  const slope = beta * sigmoid(z) * sigmoid(-z);
  return {
    loss: sigmoid(x) + sigmoid(-z),
    chosen: beta * sigmoid(x) * sigmoid(-x) - slope,
    rejected: slope,
  };
}

/** -log s(x)(1 - m) + e^-x m, x = beta h, m = s(x / temperature). */
export function discopopLoss(pair: PairScores, beta: number, options: Options): PairValue {
  const temperature = options.temperature as number;
  const x = bounded(beta * differences(pair).h);
  const mix = sigmoid(x / temperature);
  const slope = mix * sigmoid(-x / temperature) / temperature;
  const exponential = cappedExp(-x);
  const log = logSigmoid(x);
  return ofMargin(
    -log * (1 - mix) + exponential * mix,
    beta * (-sigmoid(-x) * (1 - mix) + (exponential + log) * slope - exponential * mix),
  );
}

/** -log s(beta (c/L - r/L)). */
export function sigmoidNormLoss(pair: PairScores, beta: number): PairValue {
  const { c, r } = differences(pair);
  const x = bounded(beta * (c / pair.chosenLength - r / pair.rejectedLength));
  const slope = -beta * sigmoid(-x);
  return {
    loss: bounded(-logSigmoid(x)),
    chosen: slope / pair.chosenLength,
    rejected: -slope / pair.rejectedLength,
  };
}
