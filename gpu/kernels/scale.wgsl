// x * factor in place: embeddings that a model scales, and their gradients. One invocation handles four
// values.

struct Params {
  count4: u32,
  factor: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn scale(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count4) { return; }
  x[id] *= params.factor;
}
