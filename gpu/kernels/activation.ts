/**
 * Activations of an MLP other than the gated SiLU of separate matrices (`swiglu.wgsl`), generated:
 *   plain  h = f(up)            gated  h = f(gate) * up         [T, F] each
 *   fused  the same, gate and up in one row [T, 2F], gate first
 *   silu       f(z) = z / (1 + exp(-z))
 *   gelu       f(z) = z Phi(z), Phi(z) = erfc(-z / sqrt 2) / 2; erfc as a rational Chebyshev fit of relative
 *              error 1.2e-7 (Press et al., Numerical Recipes, 6.2)
 *   gelu_tanh  f(z) = z (1 + tanh u) / 2,  u = sqrt(2 / pi) (z + 0.044715 z^3)
 * Backward: d up = dh f(gate), d gate = dh up f'(gate); plain d up = dh f'(up). Gradients, which are f32,
 * take the place of dh (plain), of gate and up (`backward`), or lie apart from what is stored as f16
 * (`backward_apart`: d gate in dh's place and d up; fused, both in one row). One invocation handles four
 * values, or four of gate and four of up.
 */
import type { Gpu } from "../device.ts";
import { inPlaceSource, inputSource, outputSource } from "../input_textures.ts";
import { compile, type Kernel, WORKGROUP } from "../pipeline.ts";
import { PACK_F16, type Storage } from "../storage.ts";

export interface ActivationVariant {
  readonly kind: "silu" | "gelu" | "gelu_tanh";
  readonly form: "plain" | "gated" | "fused";
  readonly entry: "forward" | "backward" | "backward_apart";
  readonly textures: boolean;
  /** Of gate, up and h. */
  readonly storage: Storage;
}

const FUNCTIONS = {
  silu: `fn value(z: vec4<f32>) -> vec4<f32> { return z / (1.0 + exp(-z)); }
fn slope(z: vec4<f32>) -> vec4<f32> {
  let s = 1.0 / (1.0 + exp(-z));
  return s + z * s * (1.0 - s);
}`,
  gelu: `fn share(z: vec4<f32>) -> vec4<f32> {
  let x = abs(z) * 0.70710678;
  let t = 1.0 / (1.0 + 0.5 * x);
  let sum = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 +
    t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let tail = 0.5 * t * exp(sum - x * x);
  return select(tail, 1.0 - tail, z > vec4<f32>(0.0));
}
fn value(z: vec4<f32>) -> vec4<f32> { return z * share(z); }
fn slope(z: vec4<f32>) -> vec4<f32> { return share(z) + z * (0.39894228 * exp(-0.5 * z * z)); }`,
  // Beyond 15 the tangent is 1 in f32; some adapters make NaN of large arguments.
  gelu_tanh: `fn turned(z: vec4<f32>) -> vec4<f32> {
  let u = 0.79788456 * (z + 0.044715 * z * z * z);
  return tanh(clamp(u, vec4<f32>(-15.0), vec4<f32>(15.0)));
}
fn value(z: vec4<f32>) -> vec4<f32> { return 0.5 * z * (1.0 + turned(z)); }
fn slope(z: vec4<f32>) -> vec4<f32> {
  let t = turned(z);
  return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * (0.79788456 * (1.0 + 0.134145 * z * z));
}`,
};

const plainOutput = (name: string, binding: number) =>
  `@group(0) @binding(${binding}) var<storage, read_write> ${name}: array<vec4<f32>>;`;

/** Bindings, and the statements of an invocation that has `id`, and `gate_at`, `up_at` where fused. */
function parts(v: ActivationVariant): { bindings: readonly string[]; body: string } {
  const kept = (name: string, binding: number) => inputSource(name, binding, v.textures, v.storage);
  const input = (name: string, binding: number) => inputSource(name, binding, v.textures);
  const over = (name: string, binding: number) => inPlaceSource(name, binding, v.textures);
  const { form } = v;
  if (v.entry === "forward") {
    const out = (binding: number) => outputSource("h", binding, v.storage);
    if (form === "plain") {
      return { bindings: [kept("up", 1), out(2)], body: "put_h(id, value(at_up(id)));" };
    }
    return form === "gated"
      ? {
        bindings: [kept("gate", 1), kept("up", 2), out(3)],
        body: "put_h(id, value(at_gate(id)) * at_up(id));",
      }
      : {
        bindings: [kept("both", 1), out(2)],
        body: "put_h(id, value(at_both(gate_at)) * at_both(up_at));",
      };
  }
  if (form === "plain") {
    return {
      bindings: [over("dh", 1), kept("up", 2)],
      body: "dh[id] = at_dh(id) * slope(at_up(id));",
    };
  }
  const gradients = (gate: string, up: string, dGate: string, dUp: string, dh: string) =>
    `let z = ${gate};
  let u = ${up};
  let d = ${dh};
  ${dGate} = d * u * slope(z);
  ${dUp} = d * value(z);`;
  if (v.entry === "backward") {
    return form === "gated"
      ? {
        bindings: [input("dh", 1), over("gate", 2), over("up", 3)],
        body: gradients("at_gate(id)", "at_up(id)", "gate[id]", "up[id]", "at_dh(id)"),
      }
      : {
        bindings: [input("dh", 1), over("both", 2)],
        body: gradients(
          "at_both(gate_at)",
          "at_both(up_at)",
          "both[gate_at]",
          "both[up_at]",
          "at_dh(id)",
        ),
      };
  }
  return form === "gated"
    ? {
      bindings: [kept("gate", 1), kept("up", 2), over("dh", 3), plainOutput("d_up", 4)],
      body: gradients("at_gate(id)", "at_up(id)", "dh[id]", "d_up[id]", "at_dh(id)"),
    }
    : {
      bindings: [input("dh", 1), kept("both", 2), plainOutput("d_both", 3)],
      body: gradients(
        "at_both(gate_at)",
        "at_both(up_at)",
        "d_both[gate_at]",
        "d_both[up_at]",
        "at_dh(id)",
      ),
    };
}

export function activationSource(v: ActivationVariant): string {
  const { bindings, body } = parts(v);
  const packs = v.entry === "forward" && v.storage === "f16";
  return `${packs ? PACK_F16 : ""}struct Params { count4: u32, width4: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${bindings.join("\n")}
${FUNCTIONS[v.kind]}

@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = gid.x + gid.y * groups.x * ${WORKGROUP}u;
  if (id >= params.count4) { return; }
  ${
    v.form === "fused"
      ? `let gate_at = id + id / params.width4 * params.width4;
  let up_at = gate_at + params.width4;`
      : ""
  }
  ${body}
}
`;
}

export function activationKernel(gpu: Gpu, v: ActivationVariant): Kernel {
  const label = `activation ${v.entry} ${v.kind} ${v.form}` + (v.textures ? " textures" : "") +
    (v.storage === "f16" ? " f16" : "");
  return compile(gpu, label, activationSource(v), "main");
}
