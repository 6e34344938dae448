// Rotary position embedding in place, x [T, heads * D], halves rotated as Hugging Face stores them:
//   (a, b) = (x[i], x[i + D/2]);  (a cos - b sin, b cos + a sin)
// table [positions, D/2] holds (cos, sin). The backward pass is the rotation by the opposite angle
// (sign -1). One invocation rotates one pair.

struct Params {
  tokens: u32,
  heads: u32,
  half: u32,   // D / 2
  sign: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn rotate(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.tokens * params.heads * params.half) { return; }
  let i = id % params.half;
  let head = id / params.half;
  let angle = table[positions[head / params.heads] * params.half + i];
  let at = head * params.half * 2u + i;
  let a = x[at];
  let b = x[at + params.half];
  let sine = params.sign * angle.y;
  x[at] = a * angle.x - b * sine;
  x[at + params.half] = b * angle.x + a * sine;
}
