import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import type { Json, LossMode } from "../../losses/loss_mode.ts";
import betaDpo from "../../modes/beta_dpo.ts";
import dpo from "../../modes/dpo.ts";
import risk from "../../modes/risk.ts";
import sft from "../../modes/sft.ts";
import { NumbersError } from "../../trainer/error.ts";
import { evaluate, type EvaluationRequest } from "../../trainer/evaluation.ts";
import { saveCheckpoint } from "../../trainer/checkpoint.ts";
import { diskOperations } from "../../trainer/atomic_write.ts";
import { fakeRun, FILES_ALLOWED, folderDigest, pairs, withFolder } from "./fake_run.ts";
import { checkpointState } from "./checkpoint_state.ts";

function request(
  mode: LossMode,
  state: Json,
  changes: Partial<Omit<EvaluationRequest, "engine">> = {},
) {
  const run = fakeRun(mode, "");
  run.engine.table.forEach((_, i, table) => table[i] = Math.cos(i));
  return {
    ...run,
    dataset: pairs(5),
    batchSize: 5,
    state,
    place: { microStep: 3, optimizerStep: 2, epoch: 0, accumulation: 1 },
    events: undefined,
    ...changes,
  };
}

const riskState = { ...risk.init({ beta_0: 0.1, beta_min: 0, beta_max: 2 }) as object, beta: 0.3 };

Deno.test("evaluation does not depend on how rows are cut into batches", async () => {
  const whole = await evaluate(request(risk, riskState));
  assertEquals(whole.rows, 5);
  for (const batchSize of [1, 2, 3]) {
    const cut = await evaluate(request(risk, riskState, { batchSize }));
    for (const [name, value] of Object.entries(whole.metrics)) {
      assertAlmostEquals(cut.metrics[name], value, 1e-12);
    }
  }
});

Deno.test("eval_loss of single rows is the mean over tokens, whatever the batch size", async () => {
  const { engine, dataset } = request(sft, null);
  const examples = await Promise.all([0, 1, 2, 3, 4].map((i) => dataset.get(i)));
  const { logps } = await engine.score(
    examples.map((example) => ({ ...example, answers: [example.answers[0]] })),
  );
  const mean = -logps.reduce((sum, logp) => sum + logp, 0) / logps.length;
  for (const batchSize of [1, 2, 3, 5]) {
    const { metrics } = await evaluate(request(sft, null, { batchSize, reference: undefined }));
    assertAlmostEquals(metrics["eval_loss"], mean, 1e-6);
    assertAlmostEquals(
      metrics["eval_logps/chosen"],
      -mean * logps.length / 5,
      1e-6,
    );
  }
});

Deno.test("eval_loss is at the state's beta for risk, eval_loss_beta0 at the configured one", async () => {
  const { metrics } = await evaluate(request(risk, riskState, { batchSize: 1 }));
  const base = await evaluate(request(risk, { ...riskState, beta: 0.1 }));
  const [loss, loss0] = [metrics["eval_loss"], metrics["eval_loss_beta0"]];
  assertAlmostEquals(loss0, base.metrics["eval_loss"], 1e-12);
  assertEquals(Math.abs(loss - loss0) > 1e-3, true);
  assertAlmostEquals(
    metrics["eval_rewards/chosen"],
    3 * base.metrics["eval_rewards/chosen"],
    1e-12,
  );
});

Deno.test("beta_dpo is evaluated at beta_0 over all pairs", async () => {
  const state = { threshold: { M0: 4, sigma: 2 } };
  const { metrics } = await evaluate(request(betaDpo, state));
  assertEquals(metrics["eval_loss"], metrics["eval_loss_beta0"]);
});

Deno.test("use_weighting weights both losses of an evaluation alike", async () => {
  const asked = request(dpo, null);
  const engine: EvaluationRequest["engine"] = {
    async score(examples) {
      const scores = await asked.engine.score(examples);
      // Likelihoods that differ from pair to pair, so that no common factor passes for the weights.
      return { ...scores, logSumP2: scores.logps.map((_, t) => -1 - 0.5 * Math.sin(t)) };
    },
  };
  const losses = async (useWeighting: boolean) => {
    const { metrics } = await evaluate({ ...asked, engine, modifiers: { useWeighting } });
    return [metrics["eval_loss"], metrics["eval_loss_beta0"]];
  };
  const [weighted, weighted0] = await losses(true);
  const [plain, plain0] = await losses(false);
  assertEquals([weighted0, plain0], [weighted, plain]);
  assert(Math.abs(weighted - plain) > 1e-2, `${weighted}, unweighted ${plain}`);
});

Deno.test("sft is evaluated without reference, rewards or rejected answers", async () => {
  const { metrics } = await evaluate(request(sft, null, { reference: undefined }));
  assertEquals(Object.keys(metrics), ["eval_loss", "eval_logps/chosen"]);
});

Deno.test("a log-probability that is no number ends an evaluation by name", async () => {
  const broken = request(risk, riskState);
  broken.engine.onScore = (logps) => logps[0] = NaN;
  await assertRejects(
    () => evaluate(broken),
    NumbersError,
    "the evaluation after step 2: the policy's log-probability of the chosen answer of row 0",
  );
});

Deno.test({
  name: "an evaluation leaves every byte of a checkpoint as it was (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    await withFolder(async (folder) => {
      const asked = request(risk, riskState);
      const digests = [];
      for (const name of ["before", "after"]) {
        await saveCheckpoint({
          folder: `${folder}/${name}`,
          operations: diskOperations,
          engine: asked.engine,
          state: checkpointState(2, { mode: { name: "risk", version: 1, state: asked.state } }),
        });
        digests.push(await folderDigest(`${folder}/${name}`));
        for (let i = 0; i < 50; i++) await evaluate(asked);
      }
      assertEquals(digests[0], digests[1]);
    });
  },
});
