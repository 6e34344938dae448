/**
 * How a run of one of TRL's trainers is asked for here: from its arguments, as they stand in
 * `trl_losses.json`, to a mode, its options and pair losses.
 */
import type { LossMode, Options, ScoreBatch } from "../../losses/loss_mode.ts";
import { labelMetrics } from "../../losses/rewards.ts";
import { type PairLossChoice, pairLossNamed } from "../../losses/pair_loss.ts";
import { mean } from "../../losses/running_stats.ts";
import cpo from "../../modes/cpo.ts";
import dpo from "../../modes/dpo.ts";
import kto from "../../modes/kto.ts";
import orpo from "../../modes/orpo.ts";
import type { Modifiers } from "../../trainer/needs.ts";

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
  readonly modifiers?: Modifiers;
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
  const modifiers: Modifiers = {
    ldAlpha: given.ld_alpha as number | undefined,
    useWeighting: given.use_weighting === true,
    referenceSync: given.sync_ref_model
      ? {
        steps: given.ref_model_sync_steps as number,
        alpha: given.ref_model_mixup_alpha as number,
      }
      : undefined,
  };
  return { mode: dpo as LossMode, options: { beta: given.beta }, lossTypes, modifiers };
}

function chosenCpo(given: TrlArguments): Chosen {
  const variant = (given.loss_type ?? "sigmoid") as string;
  return { mode: cpo as LossMode, options: { ...optionsIn(cpo.options, given), variant } };
}

function chosenKto(given: TrlArguments): Chosen {
  const variant = given.loss_type as string;
  return { mode: kto as LossMode, options: { ...optionsIn(kto.options, given), variant } };
}

/** The run that has TRL's numbers. */
export function chosenFor(given: TrlArguments): Chosen {
  switch (given.trainer) {
    case "DPOTrainer":
      return chosenDpo(given);
    case "CPOTrainer":
      return chosenCpo(given);
    case "ORPOTrainer":
      return { mode: orpo as LossMode, options: { beta: given.beta, nll: "sequence" } };
    case "KTOTrainer":
      return chosenKto(given);
    default:
      throw new Error(`No mode stands for ${given.trainer}`);
  }
}

/** Averages over tokens where TRL's trainer has them: in its log-probabilities and in its rewards. */
function isAveraged({ trainer, loss_type }: TrlArguments): boolean {
  return trainer === "ORPOTrainer" ||
    trainer === "CPOTrainer" && (loss_type === "ipo" || loss_type === "simpo");
}

/** Log-probabilities of the answers of a batch, chosen, then rejected ones, as TRL's trainer has them. */
export function answerLogps(given: TrlArguments, { chosen, rejected }: ScoreBatch) {
  const averaged = isAveraged(given);
  return [chosen, ...rejected ? [rejected] : []].map(({ policy, length }) =>
    policy.map((p, i) => averaged ? p / length[i] : p)
  );
}

/** Of one batch of rows with labels; margins where it has both kinds. */
function labelledMetrics(given: TrlArguments, batch: ScoreBatch): Record<string, number> {
  const metrics = Object.fromEntries(
    labelMetrics(batch, given.beta).map(({ name, value }) => [name, value]),
  );
  const { "rewards/chosen": good, "rewards/rejected": bad } = metrics;
  return good === undefined || bad === undefined
    ? metrics
    : { ...metrics, "rewards/margins": good - bad };
}

/**
 * Log-probabilities and rewards of one batch as a trainer logs them that counts otherwise than the one
 * here: KTO's takes means of the means of micro-batches, here each row counts once; trainers without a
 * reference log averages over tokens and rewards, here there are sums and no rewards.
 */
export function ownMetrics(given: TrlArguments, batch: ScoreBatch): Record<string, number> {
  if (batch.label) return labelledMetrics(given, batch);
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
