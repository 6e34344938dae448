/**
 * How a run of one of TRL's trainers is asked for here: from its arguments, as they stand in
 * `trl_losses.json`, to a mode, its options and pair losses.
 */
import type { LossMode, Options, ScoreBatch } from "../../losses/loss_mode.ts";
import { type PairLossChoice, pairLossNamed } from "../../losses/pair_loss.ts";
import { mean } from "../../losses/running_stats.ts";
import cpo from "../../modes/cpo.ts";
import dpo from "../../modes/dpo.ts";

/** Arguments of a trainer in TRL; those that are not given have TRL's defaults, which are ours. */
export interface TrlArguments {
  readonly trainer: string;
  readonly beta: number;
  readonly loss_type?: string | readonly string[];
  readonly loss_weights?: readonly number[];
  readonly [argument: string]: number | boolean | string | readonly (number | string)[] | undefined;
}

/** What is trained here. */
export interface Chosen {
  readonly mode: LossMode;
  readonly options: Options;
  readonly lossTypes?: readonly PairLossChoice[];
}

/** The arguments, or their other names, that are options of ours. */
function optionsIn(table: LossMode["options"], from: TrlArguments): Options {
  const known = Object.keys(table).filter((name) => from[name] !== undefined);
  return Object.fromEntries(known.map((name) => [name, from[name] as number | boolean | string]));
}

function chosenDpo(given: TrlArguments): Chosen {
  const types = given.loss_type as readonly string[];
  const lossTypes = types.map((type, k) => ({
    type,
    weight: given.loss_weights?.[k] ?? 1,
    options: optionsIn(pairLossNamed(type).options, given),
  }));
  return { mode: dpo as LossMode, options: { beta: given.beta }, lossTypes };
}

function chosenCpo(given: TrlArguments): Chosen {
  const variant = (given.loss_type ?? "sigmoid") as string;
  return { mode: cpo as LossMode, options: { ...optionsIn(cpo.options, given), variant } };
}

/** The run that has TRL's numbers. */
export function chosenFor(given: TrlArguments): Chosen {
  switch (given.trainer) {
    case "DPOTrainer":
      return chosenDpo(given);
    case "CPOTrainer":
      return chosenCpo(given);
    default:
      throw new Error(`No mode stands for ${given.trainer} yet`);
  }
}

/** Averages over tokens where TRL's trainer has them: in its log-probabilities and in its rewards. */
function isAveraged({ trainer, loss_type }: TrlArguments): boolean {
  return trainer === "ORPOTrainer" ||
    trainer === "CPOTrainer" && (loss_type === "ipo" || loss_type === "simpo");
}

/** Log-probabilities of the chosen and of the rejected answers of a batch, as TRL's trainer has them. */
export function answerLogps(given: TrlArguments, { chosen, rejected }: ScoreBatch) {
  const averaged = isAveraged(given);
  return [chosen, rejected!].map(({ policy, length }) =>
    policy.map((p, i) => averaged ? p / length[i] : p)
  );
}

/**
 * Log-probabilities and rewards of one batch as a trainer without a reference logs them. The modes
 * here log sums of log-probabilities, and rewards only where there is a reference.
 */
export function ownMetrics(given: TrlArguments, batch: ScoreBatch): Record<string, number> {
  const alpha = (given.alpha ?? 0) as number;
  const reward = (logp: number) =>
    given.beta * (alpha === 0 ? logp : (1 - Math.exp(-alpha * logp)) / alpha);
  const [better, worse] = answerLogps(given, batch);
  const [high, low] = [better.map(reward), worse.map(reward)];
  return {
    "logps/chosen": mean(better),
    "logps/rejected": mean(worse),
    "rewards/chosen": mean(high),
    "rewards/rejected": mean(low),
    "rewards/margins": mean(high.map((x, i) => x - low[i])),
    "rewards/accuracies": mean(high.map((x, i) => x > low[i] ? 1 : 0)),
  };
}

/** A golden that waits for a part of the trainer. */
export interface Pending {
  readonly name: string;
  /** What has to exist first. */
  readonly needs: string;
  readonly mode: string;
  /** Options of the mode; pair losses as in the golden's arguments. */
  readonly options: Options;
  /** Top-level settings of the config. */
  readonly settings?: Options;
}

const SYNC = { sync_ref_model: true, ref_model_mixup_alpha: 0.6, ref_model_sync_steps: 2 };

/** Goldens without a test so far. */
export const pending: readonly Pending[] = [
  ...["sigmoid_ld", "mpo_ld", "ipo_ld"].map((name) => ({
    name,
    needs: "log-probabilities weighted by token, of policy and reference alike",
    mode: "dpo",
    options: { beta: 0.3 },
    settings: { ld_alpha: 0.5 },
  })),
  ...["sigmoid_weighted", "ipo_weighted"].map((name) => ({
    name,
    needs: "logSumP2 of the scored tokens",
    mode: "dpo",
    options: { beta: 0.3 },
    settings: { use_weighting: true },
  })),
  ...["sigmoid_synced", "apo_zero_synced"].map((name) => ({
    name,
    needs: "a live reference that is mixed after every second step",
    mode: "dpo",
    options: { beta: 0.3 },
    settings: SYNC,
  })),
  {
    name: "orpo",
    needs: "promptLogp: the likelihood is over prompt and answer",
    mode: "orpo",
    options: { beta: 0.3, nll: "sequence" },
  },
  {
    name: "kto",
    needs: "rows with a label (settings.labels) and mismatched answers",
    mode: "kto",
    options: { beta: 0.3, variant: "kto", desirable_weight: 1, undesirable_weight: 1.5 },
  },
  {
    name: "apo_zero_unpaired",
    needs: "rows with a label (settings.labels)",
    mode: "kto",
    options: { beta: 0.3, variant: "apo_zero_unpaired" },
  },
];
