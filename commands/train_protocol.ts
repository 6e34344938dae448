/** What the main thread and the Worker of a training run say to each other; plain data only. */
import type { RunEvent } from "../report/events.ts";
import type { HubInputs } from "./hub_pins.ts";

/** What a run is started with. */
export interface TrainRequest {
  /** Path of the config file. */
  readonly config: string;
  /** `--set`. */
  readonly overrides: readonly string[];
  readonly outputFolder: string;
  /** Where reference values and measured kernels are kept. */
  readonly cacheFolder: string;
  readonly resume: "no" | "newest" | "older";
  /** Training rows that are left out. */
  readonly excludedRows: readonly number[];
  /** Where names of the Hub lie. */
  readonly hub: HubInputs;
}

/** What a run can be told beside its end. */
export type RunOrder = "pause" | "resume" | "save";

/** To the Worker. */
export type TrainOrder =
  /** `watch`: where the Worker notes which function of a mode it is in. */
  | {
    readonly type: "start";
    readonly request: TrainRequest;
    readonly watch: SharedArrayBuffer;
  }
  /** Finish the step in progress, save and end; `by` is who wants that. */
  | { readonly type: "stop"; readonly by: string }
  /** Obeyed after the step in progress. */
  | { readonly type: RunOrder };

/** From the Worker. `end` and `failure` are the last one. */
export type TrainAnswer =
  /** All input is read and checked: from here on a run that is stopped ends with a checkpoint. */
  | { readonly type: "opened" }
  | { readonly type: "event"; readonly event: RunEvent }
  | { readonly type: "end"; readonly stopped: boolean }
  | { readonly type: "failure"; readonly message: string; readonly code: number };
