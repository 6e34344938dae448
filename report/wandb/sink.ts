/**
 * Weights & Biases: a row of the history for each step, its evaluation with it. Every row goes into
 * the run's log first (`wandb/...run-.../run-ID.wandb`, as the client writes it); online, a sender
 * follows the log, offline `wandb sync` does so later.
 */
import type { Distributions, MetricValues, RunEvent, Sink } from "../events.ts";
import { bucketsOf } from "../histogram.ts";
import { readMetrics } from "../metrics_jsonl.ts";
import { StepClock } from "../step_clock.ts";
import { WandbApi } from "./api.ts";
import { type Items, jsonText } from "./record.ts";
import { WandbRunFolder } from "./run_folder.ts";
import { defaultPace, type Pace, Sender } from "./sender.ts";
import type { WandbSettings } from "./settings.ts";

export interface WandbOptions {
  readonly settings: WandbSettings;
  /** The run's folder; `metrics.jsonl` in it, cut to the checkpoint, has the steps made so far. */
  readonly folder: string;
  /** Finished steps at the start of this process. */
  readonly finished: number;
  readonly config: Readonly<Record<string, unknown>>;
  /** Milliseconds since 1970, e.g. `Date.now`. */
  now(): number;
  /** Where the run is to be seen, and what stands in the way. */
  tell(text: string): void;
  readonly pace?: Partial<Pace>;
  /** Milliseconds after which a request counts as failed. Default 30 000. */
  readonly timeout?: number;
}

/**
 * A sink that goes on with the W&B run of the folder, or begins one.
 *
 * @throws ReportFileError when the file system refuses
 */
export function wandbSink(options: WandbOptions): Sink {
  const { settings, now } = options;
  const opened = now();
  const { folder, run } = WandbRunFolder.open(options.folder, {
    entity: settings.entity,
    project: settings.project,
    name: settings.runName,
    config: options.config,
    started: opened / 1000,
  }, { offline: settings.mode === "offline" });
  const runtime = () => folder.runtimeBefore + (now() - opened) / 1000;
  const rows = new PendingRow((step, values) =>
    folder.row(step, values, { runtime: runtime(), timestamp: now() / 1000 })
  );
  // Steps of an earlier process that are not in the log: it was killed, or had no W&B.
  if (options.finished > 0) {
    for (const { step, ...metrics } of readMetrics(`${options.folder}/metrics.jsonl`)) {
      if (step <= options.finished) rows.add(step, metricItems(metrics));
    }
    rows.flush();
  }
  const sender = settings.mode === "online" ? startSender(options, folder, run) : undefined;
  const clock = new StepClock(now);
  return {
    accept(event) {
      addEvent(rows, event, clock);
    },
    async close(code = 0) {
      try {
        rows.flush();
        folder.exit(code, runtime());
      } finally {
        // What the log has is sent even if it could not be written to its end.
        if (await sender?.finish(code)) folder.markSynced();
        folder.close();
      }
      if (!sender) options.tell(`W&B run, kept offline: "wandb sync ${folder.path}" sends it`);
    },
  };
}

function startSender(
  { settings, tell, pace, timeout = 30_000 }: WandbOptions,
  folder: WandbRunFolder,
  run: ReturnType<typeof WandbRunFolder.open>["run"],
): Sender {
  const api = new WandbApi({ baseUrl: settings.baseUrl, apiKey: settings.apiKey!, timeout });
  return new Sender({
    api,
    run,
    path: folder.file,
    pace: { ...defaultPace, ...pace },
    onConnected: ({ entity, project }) => {
      // The pages of api.NAME are at NAME.
      const pages = settings.baseUrl.replace("://api.", "://");
      tell(`W&B run: ${pages}/${entity}/${project}/runs/${run.id}`);
    },
    onOutage: (reason) =>
      tell(
        `W&B at ${api.host} cannot be reached: ${reason}. Rows are kept in "${folder.path}" and sent ` +
          "when it can",
      ),
    onGiveUp: (reason) =>
      tell(
        `Warning: cannot send to W&B at ${api.host}: ${reason}. Everything is in "${folder.path}": ` +
          `"wandb sync ${folder.path}" sends it`,
      ),
  });
}

/** Adds what an event says to the row of its step. */
function addEvent(rows: PendingRow, event: RunEvent, clock: StepClock): void {
  if (event.type === "step") {
    const timings = clock.step(event.tokens);
    rows.add(event.step, [
      ...metricItems(event.metrics),
      ...metricItems(timings),
      ...histogramItems(event.distributions ?? {}),
    ]);
  } else if (event.type === "evaluation") {
    rows.add(event.step, metricItems(event.metrics));
    clock.mark();
  } else if (event.type === "checkpoint") {
    rows.flush();
    clock.mark();
  }
}

/** The row in progress: an evaluation comes after its step, and both are one row. */
class PendingRow {
  readonly #write: (step: number, values: Items) => void;
  #row: { readonly step: number; readonly values: Items } | undefined;

  constructor(write: (step: number, values: Items) => void) {
    this.#write = write;
  }

  add(step: number, values: Items): void {
    const row = this.#row;
    if (row?.step === step) {
      this.#row = { step, values: [...row.values, ...values] };
    } else {
      this.flush();
      this.#row = { step, values };
    }
  }

  flush(): void {
    const row = this.#row;
    this.#row = undefined;
    if (row) this.#write(row.step, row.values);
  }
}

function metricItems(metrics: MetricValues): Items {
  return Object.entries(metrics).map(([key, value]) => [key, jsonText(value)]);
}

/** Histograms as W&B has them: n counts, n + 1 edges. */
function histogramItems(distributions: Distributions): Items {
  return Object.entries(distributions).flatMap(([name, values]) => {
    const { limits, counts } = bucketsOf(values);
    if (counts.length === 0) return [];
    const low = values.filter(Number.isFinite).reduce((a, b) => Math.min(a, b));
    const json = jsonText({ _type: "histogram", values: counts, bins: [low, ...limits] });
    return [[`distribution/${name}`, json] as const];
  });
}
