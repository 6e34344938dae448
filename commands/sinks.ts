/** The sinks of a training run beside the terminal, as config and environment ask for them. */
import type { Sink } from "../report/events.ts";
import { guardedSink } from "../report/guarded.ts";
import { timingsSink } from "../report/metrics_jsonl.ts";
import { tensorboardSink } from "../report/tensorboard/sink.ts";
import { wandbSettings } from "../report/wandb/settings.ts";
import { wandbSink } from "../report/wandb/sink.ts";
import type { ParsedConfig, TrainingSettings } from "../trainer/config.ts";

export interface SinkPlace {
  readonly parsed: ParsedConfig;
  readonly settings: TrainingSettings;
  /** The run's folder. */
  readonly folder: string;
  /** Reads an environment variable. */
  env(name: string): string | undefined;
  /** Gets what the user should know. */
  tell(text: string): void;
}

/**
 * Opens nothing yet: each sink begins with training, and one that fails is told once and left out.
 * `metrics.jsonl` is none of them, the trainer itself writes it.
 */
export function runSinks(place: SinkPlace): Sink[] {
  const { parsed, settings, folder, tell: warn } = place;
  const timings = guardedSink({
    what: "timings.jsonl",
    warn,
    open: (start) =>
      timingsSink(`${folder}/timings.jsonl`, {
        finished: start.step,
        clock: () => performance.now(),
        memory: () => Deno.memoryUsage().rss,
      }),
  });
  const asked = settings.reportTo;
  const tensorboard = asked.includes("tensorboard")
    ? guardedSink({
      what: "TensorBoard files",
      warn,
      open: (start) =>
        tensorboardSink({
          folder: `${folder}/tensorboard`,
          finished: start.step,
          config: parsed.text,
          now: Date.now,
        }),
    })
    : undefined;
  const wandb = asked.includes("wandb") ? openWandb(place) : undefined;
  return [timings, tensorboard, wandb].filter((sink) => sink !== undefined);
}

/** W&B is for those who have it: a project's name in a config says nothing where there is no key. */
function openWandb({ parsed, settings, folder, env, tell }: SinkPlace): Sink | undefined {
  const wandb = wandbSettings(env, { project: settings.wandbProject, runName: settings.runName });
  if ("why" in wandb) {
    const asked = parsed.config.report_to !== undefined;
    const off = env("WANDB_MODE") === "disabled";
    if (!off && (asked || env("WANDB_API_KEY"))) tell(`Nothing goes to W&B: ${wandb.why}`);
    return undefined;
  }
  return guardedSink({
    what: "W&B",
    warn: tell,
    open: (start) =>
      wandbSink({
        settings: wandb,
        folder,
        finished: start.step,
        config: parsed.config,
        now: Date.now,
        tell,
      }),
  });
}
