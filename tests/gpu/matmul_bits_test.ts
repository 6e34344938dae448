/**
 * Every product has the same bits in every form, tile and way to start, and with both kinds of inputs:
 * a run does not depend on what the adapter is given.
 */
import type { MatmulTile } from "../../gpu/kernels/matmul.ts";
import { defaultTile } from "../../gpu/tuning.ts";
import { assertClose, assertSameBits, FORWARD } from "../assert_close.ts";
import { product } from "../reference/matmul.ts";
import {
  FORMS,
  INITS,
  inner,
  label,
  type Matrices,
  matrices,
  multiply,
  type Wanted,
} from "./matmul_cases.ts";
import { INPUT_KINDS, type InputKind, Rig } from "./rig.ts";

const rig = await Rig.open();
const { subgroups, storageTextures } = rig.gpu.capabilities;
const KINDS = INPUT_KINDS.filter((kind) => kind === "buffers" || storageTextures);

type Sharing = MatmulTile["sharing"];
const tile = (
  rows: number,
  columns4: number,
  unroll: number,
  eights: number,
  sharing: Sharing = "none",
): MatmulTile => ({ rows, columns4, unroll, eights, sharing });

/** The smallest tile, which compiles fast. */
const SMALL = tile(8, 1, 4, 4);
/** Each value of each axis, for everyone who shares; k unrolled by 8 leaves a rest of 4. */
const TILES: readonly MatmulTile[] = [
  SMALL,
  tile(8, 2, 8, 1),
  tile(16, 1, 4, 8),
  tile(8, 1, 8, 4, "subgroup"),
  tile(16, 1, 4, 1, "subgroup"),
  tile(16, 2, 4, 4, "subgroup"),
  ...[4, 8].flatMap((rows) => [1, 2].map((columns4) => tile(rows, columns4, 4, 8, "workgroup"))),
].filter(({ sharing }) => sharing !== "subgroup" || subgroups);
/** A tile of each kind of sharing. */
const SHARED = TILES.filter((t) => t.columns4 === 1 && t.sharing !== "none" && t.rows < 16)
  .filter((t) => t.sharing !== "workgroup" || t.rows === 4);

interface Variant extends Wanted {
  readonly kind: InputKind;
}

const name = (v: Variant) => `${label(v)} from ${v.kind}`;

/** Every tile, from zero and without bias. */
function tiles(): Variant[] {
  const kinds = ({ rows, columns4, sharing }: MatmulTile) =>
    // Compiling is slow, and of four squares two show the addresses of all.
    sharing === "workgroup" && rows !== 4 * columns4 ? KINDS.slice(0, 1) : KINDS;
  return FORMS.flatMap((form) =>
    TILES.flatMap((tile) => kinds(tile).map((kind): Variant => ({ form, tile, kind })))
  );
}

/** Every way to start: what is read in the smallest tile, everything at once in the others. */
function starts(): Variant[] {
  return FORMS.flatMap((form) => {
    const small = INITS.flatMap((init) =>
      [false, true].flatMap((bias) =>
        KINDS.map((kind): Variant => ({ form, init, bias, tile: SMALL, kind }))
      )
    );
    const shared = SHARED.flatMap((tile): Variant[] => [
      { form, init: "output", bias: true, tile, kind: "buffers" },
    ]);
    return [...small, ...shared];
  }).filter(({ bias, kind }) => !bias || kind === "buffers");
}

/** What a model uses: biases and residuals (NT), sums over parts (NN) and over chunks (TN). */
function used(): Variant[] {
  const tile = defaultTile(rig.gpu);
  return KINDS.flatMap((kind): Variant[] => [
    { form: "NT", bias: true, tile, kind },
    { form: "NT", init: "addend", tile, kind },
    { form: "NT", init: "addend", bias: true, tile, kind },
    { form: "NN", init: "output", tile, kind },
    { form: "TN", init: "output", tile, kind },
  ]);
}

const VARIANTS = [...tiles(), ...starts(), ...used()];

/** Asserts equal bits of all variants for one start, which the caller makes the same for all. */
async function agree(list: readonly Variant[], x: Matrices): Promise<Float32Array> {
  const queued = [];
  for (const v of list) queued.push(await rig.with(v.kind, () => multiply(rig, v, x)));
  const found = await rig.finish(queued);
  const first = inner(found[0].c, x, name(list[0]));
  for (const [i, v] of list.entries()) {
    assertSameBits(inner(found[i].c, x, name(v)), first, `${name(v)} against ${name(list[0])}`);
  }
  return first;
}

for (const shape of [[7, 13, 31], [65, 66, 127], [17, 70, 36]] as const) {
  const place = `m, n, k = ${shape}`;
  Deno.test(`all ${VARIANTS.length} matmul variants agree in every bit, ${place}`, async () => {
    const x = matrices(shape, 7);
    const zero = { ...x, start: x.start.map(() => 0), bias: x.bias.map(() => 0) };
    const plain = await agree(VARIANTS, zero);
    assertClose(plain, product(x.a, x.b, x.m, x.n, x.k), FORWARD, "matmul bits", place);
    const started = VARIANTS.filter(({ init = "zero" }) => init !== "zero");
    await agree(VARIANTS.filter(({ bias }) => bias), { ...x, start: zero.start });
    await agree(started.filter(({ bias }) => !bias), x);
    const biased = await agree(started.filter(({ bias }) => bias), x);
    const summed = x.start.map((value, i) => Math.fround(value + x.bias[i % x.n]));
    const from: Variant = { form: "NT", init: "output", tile: SMALL, kind: "buffers" };
    assertSameBits(await agree([from], { ...x, start: summed }), biased, "bias");
  });
}
