/** Lines for a person, one a result. */
import type { Bandwidth, Ceiling } from "./ceiling.ts";
import type { HeadResult, KernelResult } from "./kernels.ts";
import type { MatmulResult } from "./matmul.ts";
import type { TuningReport } from "../gpu/tuning_measure.ts";
import type { StepResult } from "./step.ts";

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function bytes(count: number): string {
  return `${(count / 1e9).toFixed(2)} GB`;
}

export function ceilingLine(adapter: string, ceiling: Ceiling, copy: Bandwidth): string {
  return `${adapter}: ${ceiling.gflops.toFixed(0)} GFLOP/s of multiply-adds ` +
    `(${ceiling.cpuGflops.toFixed(0)} by processor time), copies ${
      copy.kernel.toFixed(1)
    } GB/s by ` +
    `kernel, ${copy.command.toFixed(1)} by command`;
}

export function tuningLine(
  { seconds, measured, complete }: Omit<TuningReport, "tuning">,
  chosen: string,
): string {
  return `measured ${measured} kernels in ${seconds.toFixed(1)} s` +
    `${complete ? "" : ", until time ran out"}: ${chosen}`;
}

export function matmulLine({ form, m, k, n, gflops, share, cpu_share }: MatmulResult): string {
  return `${form} ${m} x ${k} x ${n}: ${gflops.toFixed(1)} GFLOP/s, ${percent(share)} of the ` +
    `ceiling (${percent(cpu_share)} by processor time)`;
}

export function kernelLine({ name, ms, dispatches, gflops, gb_s, share }: KernelResult): string {
  const rate = gflops !== undefined
    ? `${gflops.toFixed(1)} GFLOP/s`
    : gb_s !== undefined
    ? `${gb_s.toFixed(1)} GB/s`
    : "no bound known";
  return `${name}: ${ms.toFixed(1)} ms in ${dispatches}, ${rate}` +
    (share === undefined ? "" : `, ${percent(share)} of its bound`);
}

export function headLine(head: HeadResult): string {
  return `head of ${head.tokens} tokens: forward ${head.forward_ms.toFixed(0)} ms, ` +
    `${percent(head.forward_share)} of the ceiling; backward ${head.backward_ms.toFixed(0)} ms, ` +
    percent(head.backward_share);
}

export function stepLine(step: StepResult): string {
  const pairs = step.pairs_per_s > 0 ? `${step.pairs_per_s.toPrecision(3)} pairs/s, ` : "";
  return `${step.model} ${step.kind} (${step.note}): ${step.seconds.toPrecision(3)} s a step ` +
    `(${step.cpu_seconds.toPrecision(3)} of processors), ${
      step.tokens_per_s.toFixed(0)
    } tokens/s, ` +
    `${pairs}${percent(step.share)} of the ceiling (${
      percent(step.cpu_share)
    } by processor time), ` +
    `host ${percent(step.host_share)}, GPU ${
      bytes(step.gpu_bytes)
    }, ${step.dispatches} dispatches, ` +
    `${step.submits} submits, ${step.readbacks} read-backs, process ${bytes(step.peak_bytes)}`;
}
