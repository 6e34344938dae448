// y = (1 - alpha) y + alpha x, element by element: weights of a reference on their way to the policy's.
// alpha 1 is a copy. Four values an invocation.

struct Params {
  count4: u32,
  alpha: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn blend(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count4) { return; }
  y[id] = select((1.0 - params.alpha) * y[id] + params.alpha * x[id], x[id], params.alpha == 1.0);
}
