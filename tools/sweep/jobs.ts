/** Hands the runs of a sweep to processes: each does one after the other; one that dies is replaced. */
import { fileURLToPath } from "node:url";
import { cacheFolder } from "../../commands/references.ts";
import type { SweepRun } from "./plan.ts";
import { type JobAnswer, type JobOpening, type JobOrder, jsonLinesOf } from "./protocol.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface JobsRequest extends JobOpening {
  readonly runs: readonly SweepRun[];
  readonly jobs: number;
  /** Called as runs end; `message` says why one failed. */
  readonly onRun: (name: string, outcome: { seconds?: number; message?: string }) => void;
  /** When aborted, the processes are stopped at once: what they have saved stays. */
  readonly signal: AbortSignal;
}

/** Does all runs; those that fail are told to `onRun`, the others go on. */
export async function runJobs(request: JobsRequest): Promise<void> {
  const queue = [...request.runs];
  const workers = Math.min(request.jobs, queue.length);
  await Promise.all(Array.from({ length: workers }, () => work(request, queue)));
}

/** One worker's share: another process where one has died. */
async function work(request: JobsRequest, queue: SweepRun[]): Promise<void> {
  while (queue.length > 0 && !request.signal.aborted) {
    const process = startProcess(request);
    const unfinished = await process.serve(queue);
    if (unfinished === undefined || request.signal.aborted) continue;
    request.onRun(unfinished.name, { message: `its process ended with ${unfinished.ending}` });
  }
}

/** Network, programs and environment are closed to the process, and with it to the modes it loads. */
function flags(out: string): string[] {
  return [
    "run",
    "--no-prompt",
    "--no-check",
    "--frozen",
    "--allow-import=nothing.invalid:443",
    `--config=${ROOT}/deno.json`,
    "--allow-read",
    `--allow-write=${out},${cacheFolder()}`,
    "--allow-env=HF_*,XDG_*,HOME,USERPROFILE,LOCALAPPDATA,DENO_WEBGPU_BACKEND",
    `${ROOT}/tools/sweep/job.ts`,
  ];
}

function startProcess(request: JobsRequest) {
  const { sweep, quick, config, out, signal, onRun } = request;
  const child = new Deno.Command(Deno.execPath(), {
    args: flags(out),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const stop = () => endQuietly(child);
  signal.addEventListener("abort", stop);
  const writer = child.stdin.getWriter();
  const say = (line: JobOpening | JobOrder) =>
    writer.write(new TextEncoder().encode(JSON.stringify(line) + "\n"));

  /** Serves runs until none is left or the process is gone; returns the run it was lost with. */
  async function serve(queue: SweepRun[]) {
    let current: SweepRun | undefined;
    try {
      await say({ sweep, quick, config, out });
      for await (const answer of jsonLinesOf<JobAnswer>(child.stdout)) {
        if (answer.type === "done") onRun(answer.name, { seconds: answer.seconds });
        if (answer.type === "failed") onRun(answer.name, { message: answer.message });
        current = queue.shift();
        if (!current) break;
        await say({ name: current.name });
      }
    } catch (error) {
      // A pipe of a process that has died; how it ended is what matters.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
    await writer.close().catch(() => {});
    const { code, signal: killed } = await child.status;
    signal.removeEventListener("abort", stop);
    if (current) return { name: current.name, ending: killed ?? `exit code ${code}` };
    if (code === 0 || signal.aborted) return undefined;
    // It did not even begin, and so would the next one not.
    const left = queue.splice(0);
    for (const { name } of left) {
      onRun(name, { message: `not begun: a process of the sweep ended with exit code ${code}` });
    }
    return undefined;
  }
  return { serve };
}

function endQuietly(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    // It has ended by itself.
    if (!(error instanceof TypeError)) throw error;
  }
}
