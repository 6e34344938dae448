/**
 * Writes the event files that `read_events.py` has TensorBoard read: always the same bytes. A run of 6
 * steps that is killed after step 4 and resumed from the checkpoint of step 2.
 *
 *     deno run -A tests/goldens/tensorboard/event_files.ts FOLDER
 */
import { tensorboardSink } from "../../../report/tensorboard/sink.ts";

export const CONFIG = "mode: beta_dpo\n# ```not a fence```\n";
export const SAMPLE = { prompt: "Why?\n````\n", reference: "Because <b>.", policy: "Là." };

/** Margins of the pairs of a step. */
export function marginsOf(step: number): Float64Array {
  return Float64Array.of(-1, 0, 0.25 * step, step === 5 ? NaN : 1);
}

export function writeEventFiles(folder: string): void {
  let time = Date.UTC(2026, 0, 2, 3, 4, 5, 250);
  const process = (finished: number, last: number, done: boolean) => {
    const sink = tensorboardSink({ folder, finished, config: CONFIG, now: () => time });
    sink.accept({ type: "start", step: finished, totalSteps: 6 });
    for (let step = finished + 1; step <= last; step++) {
      time += 125;
      sink.accept({
        type: "step",
        step,
        totalSteps: 6,
        pairs: 4,
        tokens: 100,
        metrics: { loss: 0.75 / step, "beta_dpo/M0": step / 4, "risk/tau": -step },
        distributions: { margins: marginsOf(step), "rewards/chosen": Float64Array.of(2, 2) },
      });
    }
    if (done) {
      sink.accept({ type: "evaluation", step: 6, pairs: 2, metrics: { eval_loss: 0.5 } });
      sink.accept({ type: "samples", step: 6, samples: [SAMPLE] });
    }
    sink.close?.();
  };
  process(0, 4, false);
  // Within the same second: the names of the files still differ.
  process(2, 6, true);
}

if (import.meta.main) writeEventFiles(Deno.args[0]);
