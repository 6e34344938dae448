import { assertEquals } from "@std/assert";
import type { Options } from "../../losses/loss_mode.ts";
import { pairLoss } from "../../losses/pair_loss.ts";
import { pairLosses } from "../../losses/pair_losses.ts";
import { assertAllClose, assertClose } from "./assert_close.ts";
import {
  assertTerms,
  BATCHES,
  logistic as s,
  randomPairs,
  SMALLEST,
  softplus,
  type Terms,
} from "./random_pairs.ts";

/** One pair as the formulas name its parts: log-ratios, token counts, beta. */
interface Pair {
  readonly c: number;
  readonly r: number;
  readonly L: number;
  readonly M: number;
  readonly b: number;
}

/** Loss and derivatives of a pair, in terms. */
type Formula = (pair: Pair) => readonly [loss: Terms, chosen: Terms, rejected: Terms];

/** A loss of x = beta (c - r): its terms and those of its derivative in x. */
function ofX(loss: (x: number) => Terms, slope: (x: number) => Terms): Formula {
  return ({ c, r, b }) => {
    const d = slope(b * (c - r)).map((term) => b * term);
    return [loss(b * (c - r)), d, d.map((term) => -term)];
  };
}

const e = 0.15;
const EXO = 1e-3;
const TAU = 0.05;

/** Written from the table of the published formulas, apart from the code. */
const formulas: Record<string, { options?: Options; formula: Formula }> = {
  sigmoid: {
    options: { label_smoothing: e },
    formula: ofX(
      (x) => [(1 - e) * softplus(-x), e * softplus(x)],
      (x) => [(e - 1) * s(-x), e * s(x)],
    ),
  },
  hinge: { formula: ofX((x) => [x < 1 ? 1 - x : 0], (x) => [x < 1 ? -1 : 0]) },
  ipo: {
    formula: ({ c, r, L, M, b }) => {
      const x = c / L - r / M - 1 / (2 * b);
      return [[x ** 2], [2 * x / L], [-2 * x / M]];
    },
  },
  robust: {
    options: { label_smoothing: e },
    formula: ofX(
      (x) => [(1 - e) * softplus(-x) / (1 - 2 * e), -e * softplus(x) / (1 - 2 * e)],
      (x) => [(e - 1) * s(-x) / (1 - 2 * e), -e * s(x) / (1 - 2 * e)],
    ),
  },
  exo_pair: {
    formula: ofX(
      (x) => [
        -s(x) * softplus(-x),
        -s(x) * Math.log1p(-EXO),
        -s(-x) * softplus(x),
        -s(-x) * Math.log(EXO),
      ],
      (x) => [x, -Math.log1p(-EXO), Math.log(EXO)].map((term) => s(x) * s(-x) * term),
    ),
  },
  nca_pair: {
    formula: ({ c, r, b }) => [
      [softplus(-b * c), softplus(b * c) / 2, softplus(b * r) / 2],
      [-b * s(-b * c), b * s(b * c) / 2],
      [b * s(b * r) / 2],
    ],
  },
  bco_pair: {
    formula: ({ c, r, b }) => [
      [softplus(-b * c), softplus(b * r)],
      [-b * s(-b * c)],
      [b * s(b * r)],
    ],
  },
  sppo_hard: {
    formula: ({ c, r, b }) => {
      const [x, y] = [c - 1 / (2 * b), r + 1 / (2 * b)];
      return [[x ** 2, y ** 2], [2 * x], [2 * y]];
    },
  },
  apo_zero: {
    formula: ({ c, r, b }) => [
      [s(-b * c), s(b * r)],
      [-b * s(b * c) * s(-b * c)],
      [b * s(b * r) * s(-b * r)],
    ],
  },
  apo_down: {
    formula: ({ c, r, b }) => {
      const x = b * (c - r);
      const slope = b * s(x) * s(-x);
      return [[s(b * c), s(-x)], [b * s(b * c) * s(-b * c), -slope], [slope]];
    },
  },
  discopop: {
    formula: ofX(
      (x) => [softplus(-x) * s(-x / TAU), Math.exp(Math.min(80, -x)) * s(x / TAU)],
      (x) => [
        -s(-x) * s(-x / TAU),
        (Math.exp(Math.min(80, -x)) - softplus(-x)) * s(x / TAU) * s(-x / TAU) / TAU,
        -Math.exp(Math.min(80, -x)) * s(x / TAU),
      ],
    ),
  },
  sigmoid_norm: {
    formula: ({ c, r, L, M, b }) => {
      const x = b * (c / L - r / M);
      return [[softplus(-x)], [-b * s(-x) / L], [b * s(-x) / M]];
    },
  },
};

for (const [name, { options = {}, formula }] of Object.entries(formulas)) {
  Deno.test(`${name} equals an independent formula on ${BATCHES} random batches`, () => {
    for (let seed = 0; seed < BATCHES; seed++) {
      const batch = randomPairs(seed);
      const b = 0.02 + (seed % 50) / 25;
      const { chosen, rejected, size } = batch;
      const { perPair, seeds } = pairLoss(batch, { beta: b }, name, options);
      for (let i = 0; i < size; i++) {
        const c = chosen.policy[i] - chosen.reference![i];
        const r = rejected!.policy[i] - rejected!.reference![i];
        const pair = { c, r, b, L: chosen.length[i], M: rejected!.length[i] };
        const [loss, up, down] = formula(pair);
        assertTerms(perPair[i], loss, 1, name);
        assertTerms(seeds!.chosen[i], up, 1 / size, name);
        assertTerms(seeds!.rejected![i], down, 1 / size, name);
      }
    }
  });
}

Deno.test(`aot and aot_unpaired equal sorted lists on ${BATCHES} random batches`, () => {
  const up = (values: Iterable<number>) => [...values].sort((a, b) => a - b);
  for (let seed = 0; seed < BATCHES; seed++) {
    const batch = randomPairs(seed);
    const b = 0.02 + (seed % 50) / 25;
    const { chosen: { policy: P, reference: R }, size } = batch;
    const { policy: p, reference: r } = batch.rejected!;
    const lists = seed % 2 === 0
      ? { name: "aot", a: P.map((x, i) => b * (x - p[i])), b: R!.map((x, i) => b * (x - r![i])) }
      : {
        name: "aot_unpaired",
        a: P.map((x, i) => b * (x - R![i])),
        b: p.map((x, i) => b * (x - r![i])),
      };
    const { loss, seeds } = pairLoss(batch, { beta: b }, lists.name);
    const low = up(lists.b);
    const gaps = up(lists.a).map((x, k) => x - low[k]);
    assertClose(
      loss,
      gaps.reduce((sum, x) => sum + softplus(-x), 0) / size,
      1e-12,
      "loss",
      SMALLEST,
    );
    const slopes = up(gaps.map((x) => -b * s(-x) / size));
    assertAllClose(up(seeds!.chosen), slopes, 1e-12, "chosen", SMALLEST);
    assertAllClose(up(seeds!.rejected!), up(slopes.map((x) => -x)), 1e-12, "rejected", SMALLEST);
  }
});

Deno.test(`sft equals the mean over tokens on ${BATCHES} random batches`, () => {
  for (let seed = 0; seed < BATCHES; seed++) {
    const { chosen, ...rest } = randomPairs(seed);
    const { loss, seeds } = pairLoss({ chosen, ...rest }, {}, "sft");
    const tokens = chosen.length.reduce((sum, n) => sum + n, 0);
    assertTerms(loss, [...chosen.policy], -1 / tokens, "loss");
    assertAllClose(seeds!.chosen, chosen.policy.map(() => -1 / tokens), 1e-15, "seeds");
  }
});

Deno.test("every pair loss has an independent formula here", () => {
  const names = [...Object.keys(formulas), "aot", "aot_unpaired", "sft"];
  assertEquals(names.sort(), pairLosses.map((loss) => loss.name).sort());
});
