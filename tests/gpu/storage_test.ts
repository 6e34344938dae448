/**
 * Values stored as f16: every one is read exactly and rounded to nearest, and kernels that store or read
 * them give the bits that the f32 kernels give for the same values, rounded once.
 */
import { assert, assertEquals } from "@std/assert";
import { attentionVariant } from "../../gpu/kernels/attention.ts";
import { inputSource, outputSource } from "../../gpu/input_textures.ts";
import { compile, WORKGROUP } from "../../gpu/pipeline.ts";
import { addProduct } from "../../gpu/product.ts";
import type { MatmulForm, MatmulTile } from "../../gpu/kernels/matmul.ts";
import type { View } from "../../gpu/program.ts";
import { PACK_F16, type Storage } from "../../gpu/storage.ts";
import { addNorm } from "../../model/norm_operations.ts";
import { Operations } from "../../model/operations.ts";
import { assertSameBits } from "../assert_close.ts";
import { Random } from "../reference/random.ts";
import { attend, packOf } from "./attend.ts";
import { makeStore } from "./parameters.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const STORAGES = ["f32", "f16"] as const;
const HALVES = 65536;

/** Copies values from one storage to the other. */
function convert(from: View, to: View): void {
  const input = rig.input(from), count4 = input.floats({}) / 4;
  const storage = { from: from.storage ?? "f32", to: to.storage ?? "f32" };
  const code = `${PACK_F16}struct P { count4: u32 }
@group(0) @binding(0) var<uniform> p: P;
${inputSource("values", 1, rig.inTextures, storage.from)}
${outputSource("out", 2, storage.to)}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  if (gid.x < p.count4) { put_out(gid.x, at_values(gid.x)); }
}`;
  const label = `test ${storage.from} to ${storage.to} ${rig.inTextures}`;
  rig.dispatch(compile(rig.gpu, label, code, "main"), [input, to], {
    params: [count4],
    groups: [Math.ceil(count4 / WORKGROUP), 1, 1],
    operations: count4,
  });
}

/** Room for values that a kernel writes; each is found to have been written. */
function garbage(count: number, storage: Storage): View {
  return rig.store(new Float32Array(count).fill(storage === "f16" ? -777 : 7e7), storage);
}

/** Every float32 that a rounding to f16 may take for something else, and ordinary ones. */
function difficult(): Float32Array {
  const values: number[] = [];
  const around = new Float32Array(1), bits = new Uint32Array(around.buffer);
  const every = new Float16Array(new Uint16Array(HALVES / 2).map((_, i) => i).buffer);
  for (let i = 0; i + 1 < 0x7c00; i++) {
    around[0] = (every[i] + every[i + 1]) / 2;
    bits[0] -= 1;
    for (let k = 0; k < 3; k++, bits[0]++) values.push(around[0], -around[0]);
    values.push(every[i], -every[i]);
  }
  const random = new Random(1);
  for (const scale of [1e-8, 1e-6, 1e-4, 1, 1e4, 1e6]) values.push(...random.normals(4000, scale));
  values.push(65504, 65519.99, 65520, 65535, 65536, 1e5, 3e38, -65520, -3e38, 1e-40, -1e-40);
  while (values.length % 4 !== 0) values.push(0);
  return Float32Array.from(values);
}

rig.test("values are stored as the nearest f16, ties to even, and saturate", async () => {
  const values = difficult(), out = garbage(values.length, "f16");
  convert(rig.upload(values), out);
  const [found] = await rig.finish([{ out }]);
  const view = new DataView(new ArrayBuffer(2));
  const expected = Float32Array.from(values, (value) => {
    view.setFloat16(0, value);
    const half = view.getFloat16(0);
    return Number.isFinite(half) ? half : Math.sign(value) * 65504;
  });
  assert(values.length > 250_000 && expected.includes(65504) && expected.includes(2 ** -24));
  assertSameBits(Rig.halves(found.out), expected, "stored values");
});

rig.test("infinities and NaN stay what they are", async () => {
  const out = garbage(4, "f16");
  convert(rig.upload(Float32Array.of(Infinity, -Infinity, NaN, -NaN)), out);
  const [found] = await rig.finish([{ out }]);
  assertEquals([...Rig.halves(found.out)], [Infinity, -Infinity, NaN, NaN]);
});

rig.test("all values of f16 are read as they are, and written back", async () => {
  const bits = new Uint16Array(HALVES).map((_, i) => i);
  const from = { ...rig.upload(new Uint32Array(bits.buffer)), storage: "f16" as const };
  const out = garbage(HALVES, "f32"), back = garbage(HALVES, "f16");
  convert(from, out);
  convert(from, back);
  const [found] = await rig.finish([{ out, back }]);
  const values = new Float32Array(new Float16Array(bits.buffer));
  const finite = (_: number, i: number) => (i & 0x7c00) !== 0x7c00;
  assertSameBits(found.out.filter(finite), values.filter(finite), "read");
  assertSameBits(Rig.halves(found.back).filter(finite), values.filter(finite), "written back");
  for (let i = 0; i < HALVES; i++) {
    if (finite(0, i)) continue;
    assert(Object.is(found.out[i], values[i]), `${i} is read as ${found.out[i]}`);
  }
});

/** Values that f16 holds exactly, so that both storages start with the same. */
function exact(random: Random, count: number, scale = 1): Float32Array {
  return new Float32Array(new Float16Array(random.normals(count, scale)));
}

const rounded = (values: Float32Array) => new Float32Array(new Float16Array(values));

/** Runs an operation in both storages, from the same values; names in `kept` are rounded results. */
async function compare<T extends Record<string, View>>(
  what: string,
  run: (storage: Storage) => T,
  kept: readonly (keyof T)[],
): Promise<void> {
  const [f32, f16] = await rig.finish(STORAGES.map(run));
  for (const name of Object.keys(f32)) {
    const found = kept.includes(name) ? Rig.halves(f16[name]) : f16[name];
    const expected = kept.includes(name) ? rounded(f32[name]) : f32[name];
    assertSameBits(found, expected, `${what}, ${name}`);
  }
}

type Halves = readonly ("a" | "b" | "c")[];
/** Everything a model stores as f16 in a product of this form. */
const PRODUCTS: readonly (readonly [MatmulForm, "zero" | "output" | "addend", Halves])[] = [
  ["NT", "zero", ["a", "b", "c"]],
  ["NT", "zero", ["b"]],
  ["NT", "addend", ["a", "b"]],
  ["NN", "output", ["b"]],
  ["TN", "output", ["b"]],
];
const registers = { rows: 8, columns4: 1, unroll: 4, eights: 4, sharing: "none" } as const;
/** One of each kind of sharing; those of which no other test has f16 in a model. */
const TILES: readonly MatmulTile[] = [
  registers,
  { ...registers, rows: 4, eights: 8, sharing: "workgroup" },
];

for (const [form, init, halves] of PRODUCTS) {
  rig.test(`${form} products (${init}) with f16 in ${halves.join(", ")}`, async () => {
    const m = 36, n = 68, k = 52, random = new Random(5);
    const a = exact(random, m * k), b = exact(random, n * k), start = random.normals(m * n);
    const bias = random.normals(n);
    for (const tile of TILES) {
      await compare(`${form} ${tile.sharing}`, (storage) => {
        const of = (name: "a" | "b" | "c") => halves.includes(name) ? storage : "f32";
        const c = init === "output" ? rig.upload(start) : garbage(m * n, of("c"));
        const lda = form === "TN" ? m : k, ldb = form === "NT" ? k : n;
        rig.run((program) =>
          addProduct(rig.gpu, program, {
            form,
            init,
            a: rig.store(a, of("a")),
            b: rig.store(b, of("b")),
            c,
            addend: init === "addend" ? rig.upload(start) : undefined,
            bias: init === "zero" ? rig.upload(bias) : undefined,
            shape: { m, n, k, lda, ldb, ldc: n },
          }, tile)
        );
        return { c };
      }, halves.includes("c") ? ["c"] : []);
    }
  });
}

const TOKENS = 29, WIDTH = 44;
const store = makeStore(rig.gpu, {
  "norm.weight": { shape: [WIDTH], weight: new Random(6).normals(WIDTH) },
});

rig.test("norms, gated activations and rotations with f16", async () => {
  const random = new Random(7), count = TOKENS * WIDTH;
  const gate = exact(random, count, 3), up = exact(random, count), dh = random.normals(count);
  const x = random.normals(count), heads = 1, headDim = WIDTH, half = headDim / 2;
  const positions = random.integers(TOKENS, 17);
  const angles = random.normals(17 * half, 9);
  const table = Float32Array.from([...angles].flatMap((t) => [Math.cos(t), Math.sin(t)]));
  await compare("elementwise", (storage) => {
    const y = garbage(count, storage), h = garbage(count, storage), inv = rig.zeros(TOKENS);
    const [g, u, rotated] = [gate, up, up].map((values) => rig.store(values, storage));
    const dGate = rig.upload(dh), dUp = garbage(count, "f32");
    rig.run((program) => {
      const o = new Operations(rig.gpu, program, store, inv);
      addNorm(o, "rms", "norm", { x: rig.upload(x), y, inv, rows: "tokens", eps: 1e-5 });
      o.swiglu(g, u, h, WIDTH);
      o.swigluBackwardApart(dGate, g, u, dUp, WIDTH);
      o.rope({
        positions: rig.upload(positions),
        table: rig.upload(table),
        x: rotated,
        heads,
        headDim,
        sign: 1,
      });
    }, { tokens: TOKENS });
    return { y, inv, h, dGate, dUp, rotated };
  }, ["y", "h", "rotated"]);
});

rig.test("gradients written apart are those written in place, by bits", async () => {
  const random = new Random(8), count = TOKENS * WIDTH;
  const [gate, up, dh] = [random.normals(count, 3), random.normals(count), random.normals(count)];
  const [g, u, d] = [gate, up, dh].map((values) => rig.upload(values));
  const [dGate, kept, keptUp] = [dh, gate, up].map((values) => rig.upload(values));
  const dUp = garbage(count, "f32");
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, d);
    o.swigluBackward(d, g, u, WIDTH);
    o.swigluBackwardApart(dGate, kept, keptUp, dUp, WIDTH);
  }, { tokens: TOKENS });
  const [found] = await rig.finish([{ g, u, dGate, dUp, kept, keptUp }]);
  assertSameBits(found.dGate, found.g, "gradient of gate");
  assertSameBits(found.dUp, found.u, "gradient of up");
  assertSameBits(found.kept, gate, "gate");
  assertSameBits(found.keptUp, up, "up");
});

for (const headDim of [8, 20]) {
  rig.test(`attention of head size ${headDim} with f16`, async () => {
    const pack = packOf([[5, 9, 4], [0, 13], [11, 1]]), heads = 4, keyValueHeads = 2;
    const random = new Random(9), { tokens } = pack;
    const [q, dO] = [0, 1].map(() => exact(random, tokens * heads * headDim));
    const [k, v] = [0, 1].map(() => exact(random, tokens * keyValueHeads * headDim));
    const variant = attentionVariant(headDim, heads, keyValueHeads);
    // o is read again, for delta: rounded, as the f16 kernels do, on the second of two runs.
    const first = attend(rig, pack, variant, { q, k, v, dO });
    const [{ o }] = await rig.finish([{ o: first.o }]);
    const oRounded = rounded(o);
    const [f32] = await rig.finish([attend(rig, pack, variant, { q, k, v, dO, o: oRounded })]);
    const [f16] = await rig.finish([attend(rig, pack, variant, { q, k, v, dO }, "f16")]);
    assertSameBits(Rig.halves(f16.o), oRounded, "o");
    for (const name of ["stats", "dq", "dk", "dv"] as const) {
      assertSameBits(f16[name], f32[name], name);
    }
  });
}
