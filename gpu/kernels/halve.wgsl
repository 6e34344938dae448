// y = x, element by element, for a y that is stored as f16: copies of weights. Four values an invocation.

struct Params {
  count4: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
fn at_x(i: u32) -> vec4<f32> { return x[i]; }
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
fn put_y(i: u32, value: vec4<f32>) { y[i] = value; }

@compute @workgroup_size(WORKGROUP)
fn halve(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count4) { return; }
  put_y(id, at_x(id));
}
