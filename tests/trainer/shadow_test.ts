import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { uniformStream } from "../../data/philox.ts";
import type { LossMode } from "../../losses/loss_mode.ts";
import { defaultOptions } from "../../losses/options.ts";
import { defaultPairLoss } from "../../losses/run_mode.ts";
import betaDpo from "../../modes/beta_dpo.ts";
import dpo from "../../modes/dpo.ts";
import epsilonDpo from "../../modes/epsilon_dpo.ts";
import risk from "../../modes/risk.ts";
import sft from "../../modes/sft.ts";
import simpo from "../../modes/simpo.ts";
import { ConfigError } from "../../trainer/error.ts";
import type { TrainingRun } from "../../trainer/run.ts";
import { pairLossShadow, type Shadow } from "../../trainer/shadow.ts";
import { train } from "../../trainer/trainer.ts";
import {
  fakeRun,
  FILES_ALLOWED,
  folderDigest,
  readLines,
  settings,
  withFolder,
} from "./fake_run.ts";

type Lines = Record<string, number>[];

function shadowOf(mode: unknown, options: Shadow["options"] = {}): Shadow {
  const found = mode as LossMode;
  return {
    name: found.name,
    mode: found,
    options: { ...defaultOptions(found.options), ...options },
    lossTypes: defaultPairLoss,
  };
}

/** A mode `probe`: plain DPO but for `changes`. */
function probe(changes: Partial<LossMode>): Shadow {
  return shadowOf({ ...dpo, name: "probe", ...changes });
}

const RISK = shadowOf(risk, { beta_warmup: 3, alpha: 0.1 });
const SEVERAL = [shadowOf(betaDpo), RISK, pairLossShadow("ipo", {}), shadowOf(simpo)];

interface Made {
  readonly lines: Lines;
  readonly digest: Record<string, string>;
  readonly notices: readonly string[];
}

/** A whole run; what it wrote and said. */
async function made(mode: unknown, changes: Parameters<typeof fakeRun>[2] = {}): Promise<Made> {
  let result: Made | undefined;
  await withFolder(async (folder) => {
    const run = fakeRun(mode as LossMode, folder, changes);
    await train(run);
    result = {
      lines: readLines(`${folder}/metrics.jsonl`) as Lines,
      digest: await folderDigest(folder),
      notices: run.seen.flatMap((event) => event.type === "notice" ? [event.text] : []),
    };
  });
  return result!;
}

function withoutShadows(lines: Lines): string {
  return JSON.stringify(
    lines.map((line) =>
      Object.entries(line).filter(([key]) => !key.startsWith("shadow/")).map(([key, value]) => [
        key,
        value,
      ])
    ),
  );
}

/** Digests of everything that shadows must leave as it is. */
function unshadowed(digest: Record<string, string>) {
  return Object.entries(digest).filter(([path]) =>
    !/metrics\.jsonl|state\.json|manifest\.json/.test(path)
  );
}

/** A test that writes a run's files. */
function withFiles(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs files)`, ignore: !FILES_ALLOWED, fn });
}

for (const mode of [dpo, betaDpo, risk]) {
  withFiles(`${mode.name}: shadows add their metrics and change no other byte`, async () => {
    const bare = await made(mode, { options: {} });
    const seen = await made(mode, { options: {}, shadows: SEVERAL });
    assertEquals(unshadowed(seen.digest), unshadowed(bare.digest));
    assertEquals(unshadowed(bare.digest).length > 8, true);
    assertEquals(withoutShadows(seen.lines), withoutShadows(bare.lines));
    assertEquals(seen.notices, bare.notices);
    // The line before the first step is an evaluation, which shadows do not see.
    assertEquals(Object.keys(seen.lines[0]).filter((key) => key.startsWith("shadow/")), []);
    for (const line of seen.lines.slice(1)) {
      const found = Object.keys(line).filter((key) => key.startsWith("shadow/"));
      assertEquals(found.length, 12);
      assert(found.every((key) => Number.isFinite(line[key])));
      assertEquals(line["shadow/risk/keep_ratio"], 1);
    }
    // 3 of 4 pairs at rho 0.8, and 1 of 2 in the short batch at an epoch's end.
    const ratios = seen.lines.slice(1).map((line) => line["shadow/beta_dpo/keep_ratio"]);
    assertEquals(ratios.map((ratio) => Math.round(60 * ratio)), [45, 45, 40, 45, 45, 40]);
  });
}

withFiles("a shadow of the run's own mode or pair loss says what the run says", async () => {
  const { lines } = await made(risk, {
    options: { beta_warmup: 3, alpha: 0.1 },
    shadows: [RISK, pairLossShadow("sigmoid", {})],
  });
  const betas = lines.slice(1).map((line) => {
    assertEquals(line["shadow/risk/loss"], line.loss);
    assertEquals(line["shadow/sigmoid/loss"], line.loss);
    assertEquals(line["shadow/sigmoid/beta"], line["shadow/risk/beta"]);
    return line["shadow/risk/beta"];
  });
  assert(new Set(betas).size > 1, `${betas}`);
});

withFiles("a pair loss takes the run's beta: ipo starts at (1 / (2 beta))^2", async () => {
  const { lines } = await made(dpo, {
    options: { beta: 0.2 },
    settings: { ...settings, gradientAccumulation: 1, maxSteps: 1 },
    shadows: [pairLossShadow("ipo", {}), shadowOf(dpo)],
  });
  assertAlmostEquals(lines[1]["shadow/ipo/loss"], 6.25, 1e-12);
  assertEquals(lines[1]["shadow/ipo/beta"], 0.2);
  // A mode has its own.
  assertEquals(lines[1]["shadow/dpo/beta"], 0.1);
});

withFiles("resumed after any step, shadows go on: same bytes", async () => {
  const throwing = probe({
    decide: (batch, state, options, context) => {
      if (context.microStep === 5) throw new Error("no further");
      return dpo.decide(batch, state as null, options, context);
    },
  });
  const shadows = [...SEVERAL, throwing];
  const changes: Partial<TrainingRun> = {
    settings: { ...settings, saveSteps: 1, saveTotalLimit: 1 },
    shadows,
  };
  const expected = await made(dpo, changes);
  for (const stop of [1, 2, 3, 5]) {
    await withFolder(async (folder) => {
      const controller = new AbortController();
      let steps = 0;
      await train(fakeRun(dpo as LossMode, folder, {
        ...changes,
        signal: controller.signal,
        events: { accept: (e) => e.type === "step" && ++steps === stop && controller.abort() },
      }));
      const resumed = fakeRun(dpo as LossMode, folder, { ...changes, resume: "newest" });
      await train(resumed);
      assertEquals(await folderDigest(folder), expected.digest);
      const stays = resumed.seen.filter((e) =>
        e.type === "notice" && /stays left out/.test(e.text)
      );
      assertEquals(stays.length, stop >= 3 ? 1 : 0);
    });
  }
});

const FAULTS: readonly (readonly [string, Partial<LossMode>, string])[] = [
  ["throws", {
    decide: (batch, state, options, context) => {
      if (context.microStep >= 3) throw new Error("out of luck");
      return { ...dpo.decide(batch, state as null, options, context), beta: 0.1, metrics: {} };
    },
  }, "out of luck"],
  ["writes to what it is shown", {
    decide: (batch, state, options, context) => {
      if (context.microStep >= 3) batch.chosen.policy.fill(1e6);
      return { ...dpo.decide(batch, state as null, options, context), beta: 0.1, metrics: {} };
    },
  }, 'changed its input "chosen.policy"'],
  ["gives no number", {
    loss: (batch) => {
      const zeros = new Float64Array(batch.size);
      return { loss: NaN, perPair: zeros, seeds: { chosen: zeros, rejected: zeros } };
    },
  }, 'the loss is "NaN"'],
  ["fails after the update", {
    onOptimizerStep: () => {
      throw new Error("too late");
    },
  }, "too late"],
];
for (const [what, changes, reason] of FAULTS) {
  withFiles(`a shadow that ${what} is told once, then left out; the run goes on`, async () => {
    const bare = await made(dpo);
    const seen = await made(dpo, { shadows: [probe(changes), RISK] });
    assertEquals(seen.notices.length, 1);
    assert(seen.notices[0].startsWith('The shadow "probe" is left out from here on'));
    assert(seen.notices[0].includes(reason), seen.notices[0]);
    assertEquals(unshadowed(seen.digest), unshadowed(bare.digest));
    assertEquals(withoutShadows(seen.lines), withoutShadows(bare.lines));
    const steps = seen.lines.slice(1);
    const logged = steps.map((line) => Object.hasOwn(line, "shadow/probe/loss"));
    // Two fail at their fourth decision, the second one of step 2.
    const late = what === "throws" || what === "writes to what it is shown";
    assertEquals(logged, steps.map((_, i) => late && i === 0));
    assert(steps.every((line) => Number.isFinite(line["shadow/risk/loss"])));
  });
}

withFiles("a shadow draws from a stream under its own name", async () => {
  const drawn: number[] = [];
  await made(betaDpo, {
    settings: { ...settings, maxSteps: 1 },
    shadows: [probe({
      decide: (batch, state, options, context) => {
        drawn.push(context.uniform(7));
        return dpo.decide(batch, state as null, options, context);
      },
    })],
  });
  const wanted = [0, 1].map((call) => uniformStream(settings.seed, `shadow/probe/${call}`)(7));
  assertEquals(drawn, wanted);
});

withFiles("on resume a new shadow starts anew and one taken out is dropped", async () => {
  await withFolder(async (folder) => {
    const changes = { settings: { ...settings, maxSteps: 2 }, options: {} };
    await train(fakeRun(dpo as LossMode, folder, { ...changes, shadows: [shadowOf(betaDpo)] }));
    const run = fakeRun(dpo as LossMode, folder, {
      options: {},
      shadows: [shadowOf(risk)],
      resume: "newest",
    });
    await train(run);
    const notices = run.seen.flatMap((event) => event.type === "notice" ? [event.text] : []);
    assertEquals(notices.slice(1), [
      'The shadow "risk" starts anew: the checkpoint has no state of it',
    ]);
    const state = JSON.parse(
      await Deno.readTextFile(`${folder}/checkpoints/step-000006/state.json`),
    );
    assertEquals(state.shadows.map(({ name }: { name: string }) => name), ["risk"]);
    // The 4 steps after have 8 decisions, all within its warm-up.
    assertEquals(state.shadows[0].state.warmupCount, 8);
  });
});

Deno.test("a shadow that needs more than the run provides is refused by name", async () => {
  const refused = async (mode: unknown, shadows: Shadow[], text: string, changes = {}) => {
    const run = fakeRun(mode as LossMode, "", { options: {}, shadows, ...changes });
    await assertRejects(() => train(run), ConfigError, text);
  };
  const wholeSteps = shadowOf(betaDpo, { scope: "step" });
  await refused(dpo, [shadowOf(epsilonDpo)], 'the shadow "epsilon_dpo": it needs the reference');
  await refused(dpo, [shadowOf(sft)], 'the shadow "sft": it needs rows of the kind "single"');
  await refused(sft, [shadowOf(dpo)], 'the shadow "dpo": it needs rows of the kind "pairs"');
  await refused(simpo, [pairLossShadow("ipo", {})], 'the shadow "ipo": it needs a reference model');
  await refused(dpo, [wholeSteps], 'the shadow "beta_dpo": it decides on whole optimizer steps');
  const mixed = probe({ needs: () => ({ ...dpo.needs({}), tokens: ["promptLogp"] }) });
  await refused(dpo, [mixed], 'the shadow "probe": it needs "promptLogp" for each token');
  // The mode itself would do without, the pair loss it takes would not.
  const free = probe({ needs: () => ({ ...dpo.needs({}), reference: "none" }) });
  await refused(simpo, [free], 'the shadow "probe": it needs a reference model');
  // All at once, and those that fit are not named.
  await refused(
    dpo,
    [RISK, mixed, wholeSteps],
    'Cannot train with mode "dpo": cannot run the shadow "probe": it needs "promptLogp" for each ' +
      'token, mode "dpo" does not ask for it; cannot run the shadow "beta_dpo": it decides on ' +
      'whole optimizer steps, mode "dpo" on each of their 2 batches; take it out of "shadow"',
  );
});

withFiles("scope step fits where a decision is a whole step", async () => {
  const shadows = [shadowOf(betaDpo, { scope: "step" })];
  const one = { ...settings, maxSteps: 1 };
  const single = await made(dpo, { settings: { ...one, gradientAccumulation: 1 }, shadows });
  assertEquals(single.lines[1]["shadow/beta_dpo/keep_ratio"], 0.75);
  const whole = await made(risk, { settings: one, options: { scope: "step" }, shadows });
  assertEquals(whole.lines[1]["shadow/beta_dpo/keep_ratio"], 0.75);
});
