// Modes that break the contract in the middle of a run: one message with name, step and decision, the
// right exit code, the checkpoint of the step before whole, and the repaired mode goes on from it.
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Decision, LossMode, LossResult } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import dpo from "../../modes/dpo.ts";
import { newestCheckpoint } from "../../trainer/checkpoint_read.ts";
import { train } from "../../trainer/trainer.ts";
import { fakeRun, FILES_ALLOWED, folderDigest, settings, withFolder } from "./fake_run.ts";

/** The mode that the others spoil: dpo with a loss of its own and a state. */
const GOOD: LossMode<{ calls: number }> = {
  ...dpo,
  name: "hostile",
  init: () => ({ calls: 0 }),
  decide: (batch, state, options, context) => ({
    ...dpo.decide(batch, null, options, context),
    state: { calls: state.calls + 1 },
  }),
  loss(batch) {
    const [chosen, rejected] = [1, -1].map((sign) =>
      new Float64Array(batch.size).fill(-sign / batch.size)
    );
    const perPair = batch.chosen.policy.map((p, i) => batch.rejected!.policy[i] - p);
    const loss = perPair.reduce((sum, value) => sum + value, 0) / batch.size;
    return { loss, perPair, seeds: { chosen, rejected } };
  },
  onOptimizerStep: (state) => ({ state }),
};

/** Decision sets of the first optimizer step, which is always good. */
const FIRST_STEP = settings.gradientAccumulation;

type Batch = Parameters<typeof GOOD.decide>[0];

/** Spoils what `decide` answers, or does something beside, after the first step. */
function deciding(spoil: (decision: Decision<{ calls: number }>, batch: Batch) => unknown) {
  return {
    decide: (batch, state, options, context) => {
      const decision = GOOD.decide(batch, state, options, context);
      if (context.microStep < FIRST_STEP) return decision;
      return spoil(decision, batch) as typeof decision;
    },
  } satisfies Partial<typeof GOOD>;
}

/** Spoils what `loss` answers after the first step. */
function losing(spoil: (result: LossResult, batch: Batch) => unknown) {
  return {
    loss: (batch, decision, options) => {
      const result = GOOD.loss!(batch, decision, options);
      return (decision.state.calls <= FIRST_STEP ? result : spoil(result, batch)) as LossResult;
    },
  } satisfies Partial<typeof GOOD>;
}

const CYCLE: Record<string, unknown> = {};
CYCLE.self = CYCLE;

/** 2 to the 40th numbers, in forty arrays. */
const DOUBLING = Array.from({ length: 40 }).reduce((inner) => [inner, inner], 1);

const withState = (state: unknown) => deciding((decision) => ({ ...decision, state }));

const HOSTILE: Record<string, readonly [Partial<typeof GOOD>, string, code?: number]> = {
  "throws": [
    deciding(() => {
      throw new Error("out of luck");
    }),
    '"decide" failed: out of luck',
  ],
  "throws no error": [
    deciding(() => {
      throw null;
    }),
    '"decide" failed: null',
  ],
  "returns a Promise": [deciding((d) => Promise.resolve(d)), "it returned a Promise"],
  "rejects": [deciding(() => Promise.reject(new Error("later"))), "it returned a Promise"],
  "never resolves": [deciding(() => new Promise(() => {})), "it returned a Promise"],
  "returns nothing": [deciding(() => undefined), 'returned "undefined"'],
  "gives weights of a wrong length": [
    deciding((d) => ({ ...d, weights: new Float64Array(1) })),
    '"weights" must be a Float64Array of',
  ],
  "gives a string for beta": [deciding((d) => ({ ...d, beta: "0.1" })), '"beta" is "0.1"'],
  "gives strings for metrics": [
    deciding((d) => ({ ...d, metrics: { a: "1" } })),
    'metric "a" is "1"',
  ],
  "gives no metrics": [deciding((d) => ({ ...d, metrics: undefined })), '"metrics" must be'],
  "writes to the log-probabilities": [
    deciding((d, batch) => (batch.chosen.policy[1] = 0, d)),
    'it changed its input "chosen.policy" at dataset row',
  ],
  "writes to the row ids": [
    deciding((d, batch) => (batch.rows.fill(0), d)),
    'it changed its input "rows"',
  ],
  "puts another array into the batch": [
    deciding((d, batch) => (Object.assign(batch, { rejected: batch.chosen }), d)),
    'it changed its input "rejected.',
  ],
  "keeps a function in its state": [withState({ f: () => 1 }), '"state.f" is "'],
  "keeps a cycle in its state": [withState(CYCLE), '"state.self" is a part of itself'],
  "keeps a state too large": [withState("x".repeat(2 ** 24)), "more than 16 MiB"],
  "keeps a state that grows without end": [withState(DOUBLING), "more than 16 MiB"],
  "keeps an array of holes": [withState(new Array(2 ** 31)), "more than 16 MiB"],
  "writes to its state": [{
    decide: (batch, state, options, context) => {
      if (context.microStep >= FIRST_STEP) (state as { calls: number }).calls = 7;
      return GOOD.decide(batch, state, options, context);
    },
  }, "what a mode is given is frozen"],
  "gives a NaN loss": [losing((r) => ({ ...r, loss: NaN })), 'the loss is "NaN"'],
  "gives a loss that is text": [losing((r) => ({ ...r, loss: "0.5" })), 'the loss is "0.5"'],
  "gives losses of a wrong length": [
    losing((r) => ({ ...r, perPair: new Float64Array(3000) })),
    '"perPair" must be a Float64Array of',
  ],
  "returns a Promise of a loss": [losing((r) => Promise.resolve(r)), "it returned a Promise"],
  "writes to the batch in its loss": [
    losing((r, batch) => (batch.rejected!.policy.fill(0), r)),
    '"loss" failed: it changed its input "rejected.policy"',
  ],
  "gives NaN seeds": [
    losing((r) => ({ ...r, seeds: { ...r.seeds, chosen: r.seeds!.chosen.map(() => NaN) } })),
    '"seeds.chosen" is "NaN"',
    4,
  ],
  "fails after the update": [{
    onOptimizerStep: (state, _options, { optimizerStep }) => {
      if (optimizerStep > 1) throw new Error("too late");
      return { state };
    },
  }, '"onOptimizerStep" failed: too late'],
};

const run = (mode: LossMode, folder: string, resume: "no" | "newest" = "no") =>
  train(fakeRun(mode, folder, {
    settings: { ...settings, saveSteps: 1, evalAtStart: false },
    resume,
  }));

for (const [what, [changes, message, code = 2]] of Object.entries(HOSTILE)) {
  Deno.test({
    name: `a mode that ${what} ends the run, the checkpoint before stays whole (needs files)`,
    ignore: !FILES_ALLOWED,
    fn: () =>
      withFolder(async (folder) => {
        const good = GOOD as unknown as LossMode;
        const parts = `${folder}/parts`;
        await Deno.mkdir(parts);
        const error = await assertRejects(() => run({ ...good, ...changes } as LossMode, parts));
        assert(error instanceof ModeError, String(error));
        assertEquals(error.exitCode, code, error.message);
        // What happens after the update is of step 2 already; the mode's call names the steps done.
        const step = what === "fails after the update" ? 2 : 1;
        const decision = step === 2 ? 4 : FIRST_STEP;
        const place = `Mode "hostile" after optimizer step ${step}, decision ${decision}`;
        assert(error.message.startsWith(place), error.message);
        assert(error.message.includes(message), error.message);
        assertEquals((await newestCheckpoint(`${parts}/checkpoints`, false))?.state.step, 1);

        await run(good, parts, "newest");
        await Deno.mkdir(`${folder}/whole`);
        await run(good, `${folder}/whole`);
        assertEquals(await folderDigest(parts), await folderDigest(`${folder}/whole`));
      }),
  });
}

Deno.test({
  name:
    "a mode whose first state is no JSON, or whose init throws, is refused by name (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    const states: [() => unknown, string][] = [
      [() => Promise.resolve({}), '"state" is "Promise"'],
      [() => ({ at: new Date(0) }), '"state.at" is "Date"'],
      [() => {
        throw new Error("not today");
      }, "not today"],
    ];
    for (const [init, message] of states) {
      const mode = { ...GOOD, init } as unknown as LossMode;
      const error = await assertRejects(() => train(fakeRun(mode, "no folder is opened")));
      assert(error instanceof ModeError && error.exitCode === 2, String(error));
      assert(error.message.startsWith('Mode "hostile": "init" failed: '), error.message);
      assert(error.message.includes(message), error.message);
    }
  },
});
