/**
 * Comparisons that docs/evidence.md talks about, as differences of a metric between two groups of runs.
 * Where the full result is significant, the quick version must show the same sign.
 */
import type { SweepPlan } from "../sweep/plan.ts";
import {
  type Estimate,
  type Group,
  groupResults,
  pairedDifference,
  type RunResult,
} from "../sweep/results.ts";

export interface Claim {
  readonly sweep: string;
  readonly metric: string;
  /** What is compared: labels of the axes, those of the seed apart. `more` minus `less` is the difference. */
  readonly more: Readonly<Record<string, string>>;
  readonly less: Readonly<Record<string, string>>;
}

const noise = (flipped: string, method: string) => ({ "example.flipped": flipped, method });
const fixed = (beta: string) => ({ "beta_update.beta_0": beta, method: "fixed beta" });
const micro = (calls: string) => ({ "beta_dpo.scope": "micro", calls });
const still = (tau: string, size: string) => ({
  policy: "still",
  "risk.tau": tau,
  "dpo_training.batch_size": size,
});
const found = (flipped: string) => ({ "example.flipped": flipped, mode: "dpo" });

export const CLAIMS: readonly Claim[] = [
  { sweep: "noise", metric: "win_rate", more: noise("0", "dpo"), less: noise("0.4", "dpo") },
  { sweep: "noise", metric: "win_rate", more: noise("0", "beta_dpo"), less: noise("0", "dpo") },
  { sweep: "noise", metric: "win_rate", more: noise("0.4", "beta_dpo"), less: noise("0.4", "dpo") },
  { sweep: "noise", metric: "win_rate", more: noise("0", "ipo"), less: noise("0", "dpo") },
  { sweep: "noise", metric: "win_rate", more: noise("0.4", "ipo"), less: noise("0.4", "dpo") },
  { sweep: "frontier", metric: "kl", more: fixed("0.03"), less: fixed("1") },
  { sweep: "frontier", metric: "reward", more: fixed("0.1"), less: fixed("1") },
  { sweep: "batch", metric: "beta/pairs:sd", more: micro("4"), less: micro("64") },
  {
    sweep: "drift",
    metric: "risk/p_hat:mean",
    more: still("ema_quantile", "4"),
    less: still("robbins_monro", "4"),
  },
  {
    sweep: "drift",
    metric: "dpo/beta",
    more: still("ema_quantile", "4"),
    less: still("robbins_monro", "4"),
  },
  { sweep: "microscope", metric: "noise/auc", more: found("0.1"), less: found("0.4") },
];

/** Two-sided 95 % points of Student's t for 1 to 9 degrees of freedom; beyond, 2 is near enough. */
const T_95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/** Whether a mean over seeds differs from 0 at the 5 % level; never for a single seed. */
export function isSignificant({ mean, error, n }: Estimate): boolean {
  if (error === undefined) return false;
  return Math.abs(mean) > (T_95[n - 2] ?? 2) * error;
}

function groupOf(groups: readonly Group[], axes: Claim["more"]): Group | undefined {
  return groups.find((group) =>
    Object.entries(axes).every(([name, label]) => group.axes[name] === label)
  );
}

/** The difference that a claim is about; undefined where its runs are not there. */
export function claimed(
  claim: Claim,
  plan: SweepPlan,
  results: readonly RunResult[],
): Estimate | undefined {
  const groups = groupResults(plan, results);
  const [more, less] = [groupOf(groups, claim.more), groupOf(groups, claim.less)];
  return more && less && pairedDifference(more, less, claim.metric);
}

/** `noise: win_rate, [0, dpo] - [0.4, dpo]` */
export function describeClaim({ sweep, metric, more, less }: Claim): string {
  const labels = (axes: Claim["more"]) => `[${Object.values(axes).join(", ")}]`;
  return `${sweep}: ${metric}, ${labels(more)} - ${labels(less)}`;
}

/** What a quick result says about a full one. */
export function compareSigns(
  full: Estimate | undefined,
  quick: Estimate | undefined,
): "same sign" | "other sign" | "not significant in full" | "not known in full" | "not in quick" {
  if (!full) return "not known in full";
  if (!isSignificant(full)) return "not significant in full";
  if (!quick) return "not in quick";
  return Math.sign(full.mean) === Math.sign(quick.mean) ? "same sign" : "other sign";
}
