/** A run's folder as training leaves it, with chosen numbers and, where asked for, hostile texts. */
import { encodeNpy } from "../../trainer/margin_log.ts";

export const FILES_ALLOWED = (await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");

/** What a data set or a model may say to break out of a page. */
export const HOSTILE = '</script><img src=x onerror="window.broken=1"><script>window.broken=2' +
  "</script><!--<script> \u2028 ${window.broken=3}";

/** Steps of the run; evaluations after 0 and `STEPS`. */
export const STEPS = 6;

export function lossOf(step: number): number {
  return Math.LN2 / (1 + 0.1 * (step - 1));
}

function lines(records: readonly unknown[]): string {
  return records.map((record) => JSON.stringify(record) + "\n").join("");
}

/** Margins of the four pairs at a step: row 0 rises, 1 falls, 2 changes sign, 3 is never kept. */
export function marginsOf(step: number): number[] {
  return [step, -0.5 * step, step % 2 === 0 ? 0.25 : -0.25, 9];
}

function metricLines(): unknown[] {
  const steps = Array.from({ length: STEPS }, (_, i) => i + 1);
  const evaluated = (step: number) => ({
    eval_loss: lossOf(step + 1),
    "eval_rewards/accuracies": step === 0 ? 0 : 0.75,
  });
  return [
    { step: 0, epoch: 0, ...evaluated(0) },
    ...steps.map((step) => ({
      step,
      epoch: step / 2,
      loss: lossOf(step),
      grad_norm: 2 / step,
      learning_rate: 1e-4 * (1 - step / STEPS),
      "rewards/chosen": 0.1 * step,
      "rewards/rejected": -0.1 * step,
      "rewards/accuracies": 0.5,
      "rewards/margins": 0.2 * step,
      "logps/chosen": -10 - step,
      "logps/rejected": -12 - 2 * step,
      "beta_dpo/M0": 0.5 * step,
      "beta_dpo/sigma": 1,
      "beta_dpo/beta_used": 0.1 + 0.01 * step,
      "beta_dpo/keep_ratio": 0.75,
      "dpo/beta": 0.1,
      "own/metric": step * step,
      ...step === STEPS && evaluated(step),
    })),
  ];
}

function marginLine(step: number): unknown {
  const margins = marginsOf(step);
  const sorted = [...margins].sort((a, b) => a - b);
  return {
    epoch: Math.floor((step - 1) / 2),
    step,
    batch_size: 4,
    mean: margins.reduce((sum, margin) => sum + margin, 0) / 4,
    min: sorted[0],
    p10: sorted[0],
    median: (sorted[1] + sorted[2]) / 2,
    p90: sorted[3],
    max: sorted[3],
    pos_frac: 0.75,
    npy: `step_${step}.npy`,
    sample: margins.slice(0, 3),
    rows: [0, 1, 2, 3],
    beta_used: 0.1,
    dropped_rows: [3],
  };
}

function facts(hostile: string) {
  return {
    format: 1,
    mode: "beta_dpo",
    modeOptions: { beta_0: 0.1 },
    lossTypes: ["sigmoid"],
    policy: `model${hostile}`,
    reference: "model",
    totalSteps: STEPS,
    plan: [`Model: ${hostile}`],
    data: { train: { name: `rows${hostile}`, rows: 4, dropped: { [`reason${hostile}`]: 1 } } },
    machine: { GPU: `adapter${hostile}` },
    margins: { folder: "logs/margins", dataset: "rows.jsonl", form: "explicit" },
  };
}

/** A config that can be read, with a text in it that is not trusted. */
export function configText(hostile: string, dataset = "rows.jsonl"): string {
  const lines = ["mode: beta_dpo", `policy_name: ${JSON.stringify(`model${hostile}`)}`];
  return [...lines, `dataset: { dataset_name: ${JSON.stringify(dataset)} }`, ""].join("\n");
}

/** Writes the run; `hostile` goes into every text. */
export function writeRun(folder: string, hostile = ""): void {
  const steps = Array.from({ length: STEPS }, (_, i) => i + 1);
  Deno.mkdirSync(`${folder}/logs/margins`, { recursive: true });
  const write = (name: string, text: string) => Deno.writeTextFileSync(`${folder}/${name}`, text);
  write("config.yaml", configText(hostile));
  write("run.json", JSON.stringify(facts(hostile)));
  write("metrics.jsonl", lines(metricLines()));
  const timing = (step: number) => ({
    step,
    "time/tokens_per_second": 1000 + step,
    "memory/gpu": 2 ** 26,
    "memory/process": 2 ** 30,
  });
  write("timings.jsonl", lines(steps.map(timing)));
  const sample = (step: number) => ({
    step,
    prompt: `Prompt${hostile}`,
    reference: `before${hostile}`,
    policy: `after ${step}${hostile}`,
  });
  write("samples.jsonl", lines([0, STEPS].map(sample)));
  write("logs/margins/margins.jsonl", lines(steps.map(marginLine)));
  for (const step of steps) {
    const bytes = encodeNpy(Float32Array.from(marginsOf(step)));
    Deno.writeFileSync(`${folder}/logs/margins/step_${step}.npy`, bytes);
  }
}

/** The rows that the margins belong to. */
export function writeRows(path: string, hostile = ""): void {
  const row = (i: number) => ({
    prompt: `prompt ${i}${hostile}`,
    chosen: `good ${i}${hostile}`,
    rejected: `bad ${i}${hostile}`,
  });
  Deno.writeTextFileSync(path, lines([0, 1, 2, 3].map(row)));
}

/** A folder that is removed when the test ends. */
export async function withFolder(use: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
