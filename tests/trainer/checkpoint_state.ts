import { CHECKPOINT_FORMAT, type CheckpointState } from "../../trainer/checkpoint.ts";

/** The state of a run of mode `dpo` after `step` steps. */
export function checkpointState(
  step: number,
  changes: Partial<{ [K in keyof CheckpointState]: unknown }> = {},
): CheckpointState {
  return {
    format: CHECKPOINT_FORMAT,
    step,
    microStep: 2 * step,
    tokens: 100 * step,
    sampler: { epoch: 0, index: 8, rows: 22, batchSize: 4, accumulation: 2, seed: 5 },
    mode: { name: "dpo", version: 1, state: null },
    shadows: [],
    positions: { metrics: 0, margins: 0 },
    engine: "fake 1",
    chunkPlan: null,
    optimizer: "adamw",
    identities: { data: null, policy: null, reference: null },
    config: "test",
    best: null,
    resumable: true,
    metrics: { first: null, last: null, before: null, evaluation: null },
    ...changes,
  } as CheckpointState;
}
