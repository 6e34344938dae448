/**
 * Which charts a page of a run has, and how each is to be read. A chart without any of its columns is
 * left out; columns that no chart names get one of their own under "Everything else".
 */
import type { TableName } from "../run_reader.ts";

/** A line of a chart. */
export interface ChartSeries {
  readonly table: TableName;
  /** Column of the table. */
  readonly key: string;
  readonly label: string;
  /** Also marks single values: there are few of them. */
  readonly points?: boolean;
  /** Drawn as given, never smoothed. */
  readonly exact?: boolean;
  /** Edge of an area: drawn faintly, in the first colour. */
  readonly edge?: boolean;
  /** Only drawn where this table is empty. */
  readonly without?: TableName;
}

export interface ChartSpec {
  readonly id: string;
  readonly title: string;
  /** How to read it and what is normal. */
  readonly how: string;
  readonly series: readonly ChartSeries[];
  /** Further columns of `metrics`: a regular expression. */
  readonly match?: string;
  /** Horizontal lines to compare with. */
  readonly levels?: readonly { readonly at: number; readonly label: string }[];
  /** Areas between two series, by their keys. */
  readonly areas?: readonly (readonly [string, string])[];
  /** Area of a series plus and minus another one, which is not drawn itself. */
  readonly spread?: { readonly center: string; readonly width: string };
  /** Draws the margins of single pairs, kept and dropped. */
  readonly dots?: boolean;
  readonly unit?: "bytes";
  readonly logarithmic?: boolean;
}

const metric = (key: string, label: string): ChartSeries => ({ table: "metrics", key, label });
const evaluation = (key: string, label: string): ChartSeries => ({
  table: "evaluations",
  key,
  label,
  points: true,
  exact: true,
});
const margins = (key: string, label: string): ChartSeries => ({
  table: "margins",
  key,
  label,
  exact: true,
});

const LEARNING: readonly ChartSpec[] = [
  {
    id: "loss",
    title: "Loss",
    how:
      "Starts at ln 2 = 0.693 where policy and reference are the same and the loss is a sigmoid, " +
      "and should fall, in jumps, as each step sees other pairs. Training far below evaluation means " +
      "that pairs are learned by heart. At a moving beta only the loss at the configured beta can be " +
      "compared between two evaluations.",
    series: [
      metric("loss", "training"),
      evaluation("eval_loss", "evaluation"),
      evaluation("eval_loss_beta0", "evaluation at the configured beta"),
    ],
    levels: [{ at: Math.LN2, label: "ln 2" }],
  },
  {
    id: "accuracy",
    title: "Accuracy",
    how:
      "Share of pairs whose chosen answer gained more than the rejected one. Starts near 0.5 (or " +
      "at 0 while all margins are exactly 0) and should rise; 0.6 to 0.8 on held-out pairs is usual " +
      "for people's preferences. A value that only jumps between few levels means small batches.",
    series: [
      metric("rewards/accuracies", "training"),
      evaluation("eval_rewards/accuracies", "evaluation"),
    ],
    levels: [{ at: 0.5, label: "chance" }],
  },
  {
    id: "logps",
    title: "Log-probabilities of the answers",
    how:
      "The most asked question: both lines often fall, the chosen one too, and that is normal. " +
      "Only their difference is trained, so the model may make both answers less likely while the " +
      "gap grows; the probability goes to answers that are in no pair. Worry when the samples below " +
      "get worse or the chosen line falls as fast as the rejected one: then a lower learning rate, a " +
      "higher beta or an added SFT term helps.",
    series: [
      metric("logps/chosen", "chosen"),
      metric("logps/rejected", "rejected"),
      evaluation("eval_logps/chosen", "chosen, evaluation"),
      evaluation("eval_logps/rejected", "rejected, evaluation"),
    ],
  },
  {
    id: "rewards",
    title: "Rewards",
    how:
      "Beta times how much likelier than under the reference an answer has become. The gap should " +
      "grow; the chosen reward may well go below 0, for the same reason as its log-probability.",
    series: [
      metric("rewards/chosen", "chosen"),
      metric("rewards/rejected", "rejected"),
      metric("rewards/margins", "chosen minus rejected"),
    ],
  },
  {
    id: "margin",
    title: "Margin",
    how: "What the policy has gained over the reference in favour of chosen, in nats and without " +
      "beta. Starts at exactly 0 and should rise steadily; growth without end at a flat evaluation " +
      "loss is overfitting.",
    series: [
      { ...margins("mean", "mean of the step"), exact: false },
      { ...metric("dpo/margin_mean", "mean of the step"), without: "margins" },
    ],
  },
  {
    id: "margins",
    title: "Margins of the pairs",
    how:
      "How the margins of each step are spread: the dark area holds the middle 80 %, the light " +
      "one all pairs. It should move up and widen. A lower edge that goes on falling while the median " +
      "rises is a group of pairs the model learns against: look at them in the pair microscope.",
    series: [
      margins("median", "median"),
      { ...margins("p90", "90 %"), edge: true },
      { ...margins("p10", "10 %"), edge: true },
      { ...margins("max", "largest"), edge: true },
      { ...margins("min", "smallest"), edge: true },
    ],
    areas: [["p90", "p10"], ["max", "min"]],
    levels: [{ at: 0, label: "0" }],
  },
];

const DYNAMICS: readonly ChartSpec[] = [
  {
    id: "beta",
    title: "Beta",
    how:
      "How strongly the policy is held to the reference. A fixed beta is a flat line. Under risk " +
      "it moves slowly after the warm-up; under beta_dpo the beta used jumps with each batch around " +
      "the configured one, higher where margins are above their running mean. Resting on the floor " +
      "or the ceiling means that alpha is too large.",
    series: [],
    match: "^(dpo/beta|[a-z0-9_]+/beta_used|kl/beta|shadow/.+/beta)$",
  },
  {
    id: "selection",
    title: "Threshold of beta_dpo: M0, sigma, and which pairs were kept",
    how:
      "M0 is the running mean of the margins and sigma their running deviation (the area is M0 " +
      "plus and minus sigma). Pairs near M0 are likelier to be kept (dots) than those far away " +
      "(crosses), on both sides. M0 should follow the dots with a short delay; dots that leave the " +
      "area for good mean that the momentum is too high.",
    series: [metric("beta_dpo/M0", "M0")],
    spread: { center: "beta_dpo/M0", width: "beta_dpo/sigma" },
    dots: true,
  },
  {
    id: "keep_ratio",
    title: "Pairs kept",
    how:
      "Share of the step's pairs that the loss was taken over. Under beta_dpo this is rho, rounded " +
      "down to whole pairs; less means that margins were not finite.",
    series: [],
    match: "^([a-z0-9_]+/keep_ratio|shadow/.+/keep_ratio)$",
  },
  {
    id: "tau",
    title: "Threshold of risk: tau",
    how:
      "Running quantile of the margins, against which the share of failures is tested. It should " +
      "rise with the margins; flat at 0 until the warm-up ends.",
    series: [metric("risk/tau", "tau")],
  },
  {
    id: "risk",
    title: "Test of risk",
    how:
      "The share of failures, p_hat, is that of margins above tau and should hover around delta; fail marks the steps " +
      "that beta answered to. Long runs of one side mean that gamma or alpha is too small to follow.",
    series: [metric("risk/p_hat", "p_hat"), metric("risk/fail", "fail")],
  },
];

const MACHINERY: readonly ChartSpec[] = [
  {
    id: "learning_rate",
    title: "Learning rate",
    how: "The schedule as it was applied: up over the warm-up, then down, or flat.",
    series: [{ ...metric("learning_rate", "learning rate"), exact: true }],
  },
  {
    id: "grad_norm",
    title: "Gradient norm",
    how: "Length of the gradient before it is clipped. Noisy around a level is normal, on a " +
      "logarithmic scale; a climb over many steps announces divergence, and values above " +
      "max_grad_norm at every step mean that clipping sets the step size.",
    series: [metric("grad_norm", "norm")],
    logarithmic: true,
  },
  {
    id: "tokens",
    title: "Speed",
    how:
      "Tokens a second in each step. The first step compiles kernels and is slow; steps with an " +
      "evaluation or a checkpoint before them are too. A lasting fall means that something else " +
      "uses the machine, or that it is too hot.",
    series: [{ table: "timings", key: "time/tokens_per_second", label: "tokens a second" }],
  },
  {
    id: "memory",
    title: "Memory",
    how:
      "What the run holds on the GPU, and the whole process in main memory. Both should be flat " +
      "after the first few steps.",
    series: [
      { table: "timings", key: "memory/gpu", label: "GPU", exact: true },
      { table: "timings", key: "memory/process", label: "process", exact: true },
    ],
    unit: "bytes",
  },
];

/** Groups of charts in the order of the page. */
export const CHART_GROUPS: readonly { readonly title: string; readonly charts: ChartSpec[] }[] = [
  { title: "Is it learning?", charts: [...LEARNING] },
  { title: "What the mode decided", charts: [...DYNAMICS] },
  { title: "The machinery", charts: [...MACHINERY] },
];

/** Columns that are shown in another form, or say nothing beside the charts. */
export const UNCHARTED: readonly string[] = [
  "epoch",
  "num_tokens",
  "time/elapsed",
  "time/step",
  "beta_dpo/sigma",
  "dpo/loss",
  "dpo/margin_mean",
  "eval_rewards/chosen",
  "eval_rewards/rejected",
  "eval_rewards/margins",
  "pos_frac",
];

/** How a column without a chart of its own is to be read. */
export const OTHER_HOW = "Logged by the mode or a shadow; deno task modes says what it is.";
