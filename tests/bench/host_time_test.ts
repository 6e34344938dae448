/** What counts as host time, on a clock that only moves when it is told to. */
import { assertAlmostEquals, assertEquals, assertStrictEquals } from "@std/assert";
import { hostSeconds, HostTime, replaceMethod } from "../../bench/host_time.ts";
import { openGpu } from "../../gpu/device.ts";

function onFakeClock() {
  let time = 100;
  const host = new HostTime(0.011, () => time);
  host.start();
  return { host, pass: (seconds: number) => void (time += seconds) };
}

Deno.test("time with an empty queue counts, time beside submitted work does not", () => {
  const { host, pass } = onFakeClock();
  pass(1); // before the first submit
  host.submitted();
  pass(10); // the GPU works
  host.submitted();
  pass(20);
  host.waited();
  pass(2); // the host decides
  host.submitted();
  pass(40);
  host.waited();
  pass(4); // the end of the step
  assertAlmostEquals(host.stop(), 1 + 2 + 4 + 2 * 0.011, 1e-9);
});

Deno.test("work that is still queued at the end costs the host nothing", () => {
  const { host, pass } = onFakeClock();
  pass(1);
  host.submitted();
  pass(50);
  assertAlmostEquals(host.stop(), 1, 1e-9);
});

Deno.test("a second wait for the same work, and one for an empty queue, is idle time", () => {
  const { host, pass } = onFakeClock();
  host.submitted();
  pass(5);
  host.waited();
  pass(3);
  host.waited();
  pass(4);
  assertAlmostEquals(host.stop(), 0.011 + 3 + 4, 1e-9);
});

Deno.test("every step starts at nothing", () => {
  const { host, pass } = onFakeClock();
  pass(7);
  host.stop();
  host.start();
  pass(2);
  assertAlmostEquals(host.stop(), 2, 1e-9);
});

Deno.test("a replaced method is put back", () => {
  class Counter {
    add(value: number): number {
      return value + 1;
    }
  }
  const { add } = Counter.prototype;
  const undo = replaceMethod(Counter, "add", (old) =>
    function (...values) {
      return 10 * (old.apply(this, values) as number);
    });
  assertEquals(new Counter().add(1), 20);
  undo();
  assertStrictEquals(Counter.prototype.add, add);
});

Deno.test("submits and read-backs of a GPU are noticed, and nothing stays replaced", async () => {
  const gpu = await openGpu();
  const { submit } = GPUQueue.prototype, { mapAsync } = GPUBuffer.prototype;
  const seen: string[] = [];
  class Witness extends HostTime {
    override submitted(): void {
      seen.push("submit");
    }
    override waited(): void {
      seen.push("wait");
    }
  }
  const buffer = gpu.createBuffer("test", 16);
  await hostSeconds(new Witness(0), async () => void await gpu.read(buffer, 16));
  assertEquals(seen.slice(0, 2), ["submit", "wait"]);
  assertStrictEquals(GPUQueue.prototype.submit, submit);
  assertStrictEquals(GPUBuffer.prototype.mapAsync, mapAsync);
  gpu.destroy();
});
