/**
 * Writes the offline W&B run that `check_sync.py` hands to `wandb sync`: always the same bytes.
 *
 *     deno run -A tests/goldens/wandb/offline_run.ts FOLDER
 */
import { wandbSink } from "../../../report/wandb/sink.ts";

/** Steps of the run: its log has several blocks of 32 KiB. */
export const STEPS = 80;

export async function writeOfflineRun(folder: string): Promise<void> {
  let time = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  // A folder that is there gives the run its id.
  Deno.mkdirSync(`${folder}/wandb/offline-run-20260102_030405-golden01`, { recursive: true });
  const sink = wandbSink({
    settings: { mode: "offline", baseUrl: "http://127.0.0.1", project: "demo", runName: "first" },
    folder,
    finished: 0,
    config: { mode: "beta_dpo", dpo_training: { batch_size: 4, learning_rate: 1e-6 } },
    now: () => time,
    tell: () => {},
  });
  sink.accept({ type: "evaluation", step: 0, pairs: 2, metrics: { eval_loss: 0.6931 } });
  for (let step = 1; step <= STEPS; step++) {
    time += 250;
    sink.accept({
      type: "step",
      step,
      totalSteps: STEPS,
      pairs: 3,
      tokens: 100,
      metrics: {
        loss: 0.5 / step,
        "rewards/margins": step === 7 ? NaN : step / 8,
        "beta_dpo/beta_used": 0.1,
        "beta_dpo/M0": step / 4,
        "beta_dpo/sigma": 1,
        "beta_dpo/keep_ratio": 0.75,
        "risk/tau": -step,
      },
      distributions: { margins: Float64Array.of(-1, 0, step) },
    });
    if (step % 40 === 0) {
      sink.accept({ type: "evaluation", step, pairs: 2, metrics: { eval_loss: 0.25 } });
    }
  }
  await sink.close?.(3);
}

if (import.meta.main) await writeOfflineRun(Deno.args[0]);
