/**
 * f-divergences in place of the reverse KL of DPO (arXiv 2309.16240), in TRL's form: a pair loss sees
 * f(c) and f(r) instead of the log-ratios c and r.
 */
import type { Options, OptionTable } from "./loss_mode.ts";
import { logSigmoid, sigmoid } from "./log_sigmoid.ts";

/** Options of every pair loss that takes another divergence; TRL writes them beside `loss_type`. */
export const divergenceOptions = {
  f_divergence_type: {
    type: "string",
    default: "reverse_kl",
    choices: ["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"],
    from: ["f_divergence_type"],
    help: "Divergence from the reference whose score stands for the log-ratio (arXiv 2309.16240)",
  },
  f_alpha_divergence_coef: {
    type: "number",
    default: 0.5,
    min: 0,
    below: 1,
    from: ["f_alpha_divergence_coef"],
    help: "alpha of alpha_divergence: 0 is forward_kl, towards 1 it becomes reverse_kl",
  },
} as const satisfies OptionTable;

/** A score and its derivative. */
export interface Score {
  readonly value: number;
  readonly slope: number;
}

/** Exponents stop here, as in float32 code: e^80 is far beyond any use and still finite. */
const LARGEST_EXPONENT = 80;

/** e^x, stopped at {@linkcode LARGEST_EXPONENT}. */
export function cappedExp(x: number): number {
  return Math.exp(Math.min(x, LARGEST_EXPONENT));
}

/** e^x - 1, stopped with {@linkcode cappedExp}, exact near 0. */
function cappedExpm1(x: number): number {
  return Math.expm1(Math.min(x, LARGEST_EXPONENT));
}

/**
 * f(t) of a log-ratio t (nats) and f'(t): reverse_kl t, forward_kl 1 - e^-t, js_divergence
 * log 2 + log s(t), alpha_divergence (e^((a-1)t) - 1) / (a-1). All are 0 at t = 0: a constant would
 * cancel in f(c) - f(r), but not in averages over answers of different lengths.
 */
export function divergenceScore(t: number, options: Options): Score {
  switch (options.f_divergence_type) {
    case "forward_kl": {
      return { value: -cappedExpm1(-t), slope: cappedExp(-t) };
    }
    case "js_divergence":
      return { value: Math.LN2 + logSigmoid(t), slope: sigmoid(-t) };
    case "alpha_divergence": {
      const a = (options.f_alpha_divergence_coef as number) - 1;
      return { value: cappedExpm1(a * t) / a, slope: cappedExp(a * t) };
    }
    default:
      return { value: t, slope: 1 };
  }
}
