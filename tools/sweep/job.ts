/**
 * A process that does runs of a sweep, one after the other on one GPU device, as the parent hands them
 * out. It has no network and writes to the sweep's folder and the cache only.
 */
import { explainError } from "../../commands/exit_code.ts";
import { preparePlatform } from "../../commands/platform.ts";
import { openGpu } from "../../gpu/device.ts";
import { executeRun, type Shared } from "./execute.ts";
import { openSweep } from "./open_sweep.ts";
import type { SweepRun } from "./plan.ts";
import { type JobAnswer, type JobOpening, type JobOrder, jsonLinesOf } from "./protocol.ts";

function answer(message: JobAnswer): void {
  let bytes = new TextEncoder().encode(JSON.stringify(message) + "\n");
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

async function main(): Promise<void> {
  const lines = jsonLinesOf<JobOpening | JobOrder>(Deno.stdin.readable);
  const { sweep, quick, out } = (await lines.next()).value as JobOpening;
  const { file, plan, config } = await openSweep(sweep, { quick, out });
  const shared: Shared = { gpu: await openGpu(), file, config, out };
  answer({ type: "ready" });
  let next = lines.next();
  for (let line = await next; !line.done; line = await next) {
    const { name } = line.value as JobOrder;
    next = lines.next();
    // The parent says nothing while a run is on: an end now means that it has died, and another sweep may
    // want this folder. What is saved is whole.
    let busy = true;
    next.then(({ done }) => {
      if (done && busy) Deno.exit(1);
    });
    await work(shared, plan.runs.find((run) => run.name === name)!);
    busy = false;
  }
}

async function work(shared: Shared, run: SweepRun): Promise<void> {
  const { name } = run;
  const started = performance.now();
  try {
    await executeRun(shared, run);
  } catch (error) {
    return answer({ type: "failed", name, message: explainError(error).message });
  }
  answer({ type: "done", name, seconds: (performance.now() - started) / 1000 });
}

if (import.meta.main) {
  preparePlatform();
  try {
    await main();
    Deno.exit(0);
  } catch (error) {
    const { message, code } = explainError(error);
    console.error(message);
    Deno.exit(code);
  }
}
