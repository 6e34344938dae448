import { assertEquals, assertThrows } from "@std/assert";
import { lengthWeights, pairTokenWeights, policyWeight } from "../../losses/token_weights.ts";
import { assertClose } from "./assert_close.ts";
import zoo from "./zoo_goldens.json" with { type: "json" };

const golden = zoo.token_level;

/** The scored entries of one golden row; column t scores token t + 1. */
function scored(row: number, columns: readonly number[]): number[] {
  return columns.filter((_, t) => golden.completion_mask[row][t + 1] === 1);
}

Deno.test("lengthWeights() and the sums they make equal the golden rows", () => {
  // Rows 0 and 1 are the chosen answers of the rows 2 and 3.
  golden.completion_lens.forEach((length, row) => {
    const weights = lengthWeights(length, golden.completion_lens[(row + 2) % 4], golden.ld_alpha);
    assertEquals([...weights], scored(row, golden.ld_token_weights[row]));
    const weigh = (logps: readonly number[]) =>
      scored(row, logps).reduce((sum, logp, t) => sum + weights[t] * logp, 0);
    const policy = golden.policy_token_logps[row];
    assertClose(weigh(policy), golden.ld_policy_logps[row], 1e-12, "policy");
    assertClose(weigh(golden.ref_token_logps[row]), golden.ld_ref_logps[row], 1e-12, "reference");
  });
  assertEquals([...lengthWeights(3, 1, 1)], [1, 1, 1]);
  assertEquals([...lengthWeights(3, 9, 0)], [1, 1, 1]);
});

Deno.test("pairTokenWeights() is the golden rows of pairs side by side, and 1 behind them", () => {
  const order = [0, 2, 1, 3];
  const lengths = Uint32Array.from([...order.map((row) => golden.completion_lens[row]), 3, 2]);
  const rows = order.flatMap((row) => scored(row, golden.ld_token_weights[row]));
  assertEquals([...pairTokenWeights(lengths, golden.ld_alpha, 4)!], [...rows, 1, 1, 1, 1, 1]);
  const pairs = lengths.subarray(0, 4);
  assertEquals([...pairTokenWeights(pairs, golden.ld_alpha)!], rows);
  assertEquals(pairTokenWeights(pairs, undefined), undefined);
  assertThrows(() => pairTokenWeights(pairs, 0.5, 3), RangeError, "not 3");
});

Deno.test("policyWeight() equals the golden answers and pairs", () => {
  const weights = golden.completion_lens.map((_, row) =>
    policyWeight(
      scored(row, golden.policy_token_logps[row]),
      scored(row, golden.log_sum_p2[row]),
    )
  );
  weights.forEach((weight, row) => {
    assertClose(weight, golden.wpo_seq_weight[row], 1e-12, `row ${row}`);
  });
  golden.wpo_pair_weight.forEach((weight, pair) => {
    assertClose(weights[pair] * weights[pair + 2], weight, 1e-12, `pair ${pair}`);
  });
  assertEquals(policyWeight([-0.1], [-3], 1), 1);
  assertEquals(policyWeight([], []), 1);
});
