// Gated activation, gate and up [T, F]:  h = silu(gate) * up,  silu(z) = z / (1 + exp(-z))
// backward, in place: gate <- dh * up * (s + gate * s * (1 - s)),  up <- dh * silu(gate),  s = sigmoid(gate)
// backward_apart, for a gate and an up that are too short of bits for gradients: dh <- gradient of gate,
// d_up = gradient of up; gate and up stay. One invocation handles four values.

struct Params {
  count4: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate: array<vec4<f32>>;
fn at_gate(i: u32) -> vec4<f32> { return gate[i]; }
@group(0) @binding(2) var<storage, read> up: array<vec4<f32>>;
fn at_up(i: u32) -> vec4<f32> { return up[i]; }
@group(0) @binding(3) var<storage, read_write> h: array<vec4<f32>>;
fn put_h(i: u32, value: vec4<f32>) { h[i] = value; }

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count4) { return; }
  let z = at_gate(id);
  put_h(id, z / (1.0 + exp(-z)) * at_up(id));
}

@group(0) @binding(1) var<storage, read> dh: array<vec4<f32>>;
fn at_dh(i: u32) -> vec4<f32> { return dh[i]; }
@group(0) @binding(2) var<storage, read_write> gate_io: array<vec4<f32>>;
fn at_gate_io(i: u32) -> vec4<f32> { return gate_io[i]; }
@group(0) @binding(3) var<storage, read_write> up_io: array<vec4<f32>>;
fn at_up_io(i: u32) -> vec4<f32> { return up_io[i]; }

@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count4) { return; }
  let z = at_gate_io(id);
  let s = 1.0 / (1.0 + exp(-z));
  let d = at_dh(id);
  gate_io[id] = d * at_up_io(id) * (s + z * s * (1.0 - s));
  up_io[id] = d * z * s;
}

@group(0) @binding(3) var<storage, read_write> dh_io: array<vec4<f32>>;
fn at_dh_io(i: u32) -> vec4<f32> { return dh_io[i]; }
@group(0) @binding(4) var<storage, read_write> d_up: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn backward_apart(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count4) { return; }
  let z = at_gate(id);
  let s = 1.0 / (1.0 + exp(-z));
  let d = at_dh_io(id);
  dh_io[id] = d * at_up(id) * (s + z * s * (1.0 - s));
  d_up[id] = d * z * s;
}
