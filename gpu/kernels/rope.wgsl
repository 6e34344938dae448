// Rotary position embedding in place, x [T, heads * D], halves rotated as Hugging Face stores them:
//   (a, b) = (x[i], x[i + D/2]);  (a cos - b sin, b cos + a sin)
// The rotate_part entries turn the first 2 half values of heads that lie anywhere in a row, such as in
// a row of queries, keys and values; the rest of a head stays.
// table [positions, D/2] holds (cos, sin). The backward pass is the rotation by the opposite angle
// (sign -1). One invocation rotates one pair; four neighbouring ones where a half is a multiple of four;
// two where x is stored as f16, whose half is even then.

struct Params {
  tokens: u32,
  heads: u32,
  half: u32,   // D / 2
  sign: f32,
  // rotate_part only, values: from a row to the next, from a head to the next, to the first head.
  row_stride: u32,
  head_stride: u32,
  offset: u32,
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

@group(0) @binding(3) var<storage, read_write> x_f16: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn rotate_f16(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let words = params.half / 2u;
  if (id >= params.tokens * params.heads * words) { return; }
  let i = id % words;
  let head = id / words;
  let angles = positions[head / params.heads] * params.half + 2u * i;
  let first = table[angles];
  let second = table[angles + 1u];
  let at = head * params.half + i;
  let a = unpack2x16float(x_f16[at]);
  let b = unpack2x16float(x_f16[at + words]);
  let cosine = vec2<f32>(first.x, second.x);
  let sine = params.sign * vec2<f32>(first.y, second.y);
  let rotated = pack_f16(vec4<f32>(a * cosine - b * sine, b * cosine + a * sine));
  x_f16[at] = rotated.x;
  x_f16[at + words] = rotated.y;
}

@group(0) @binding(2) var<storage, read> table4: array<vec4<f32>>;
fn at_table4(i: u32) -> vec4<f32> { return table4[i]; }
@group(0) @binding(3) var<storage, read_write> x4: array<vec4<f32>>;
fn at_x4(i: u32) -> vec4<f32> { return x4[i]; }

@compute @workgroup_size(WORKGROUP)
fn rotate4(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let fours = params.half / 4u;
  if (id >= params.tokens * params.heads * fours) { return; }
  let head = id / fours;
  let angles = 2u * (positions[head / params.heads] * fours + id % fours);
  let first = at_table4(angles);
  let second = at_table4(angles + 1u);
  let cosine = vec4<f32>(first.xz, second.xz);
  let sine = params.sign * vec4<f32>(first.yw, second.yw);
  let at = head * fours * 2u + id % fours;
  let a = at_x4(at);
  let b = at_x4(at + fours);
  x4[at] = a * cosine - b * sine;
  x4[at + fours] = b * cosine + a * sine;
}

/// Where the first value of a head lies; heads are numbered through all rows.
fn head_begin(head: u32) -> u32 {
  return head / params.heads * params.row_stride + params.offset + head % params.heads * params.head_stride;
}

@compute @workgroup_size(WORKGROUP)
fn rotate_part(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.tokens * params.heads * params.half) { return; }
  let i = id % params.half;
  let head = id / params.half;
  let angle = table[positions[head / params.heads] * params.half + i];
  let at = head_begin(head) + i;
  let a = x[at];
  let b = x[at + params.half];
  let sine = params.sign * angle.y;
  x[at] = a * angle.x - b * sine;
  x[at + params.half] = b * angle.x + a * sine;
}

@compute @workgroup_size(WORKGROUP)
fn rotate_part4(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let fours = params.half / 4u;
  if (id >= params.tokens * params.heads * fours) { return; }
  let head = id / fours;
  let angles = 2u * (positions[head / params.heads] * fours + id % fours);
  let first = at_table4(angles);
  let second = at_table4(angles + 1u);
  let cosine = vec4<f32>(first.xz, second.xz);
  let sine = params.sign * vec4<f32>(first.yw, second.yw);
  let at = head_begin(head) / 4u + id % fours;
  let a = at_x4(at);
  let b = at_x4(at + fours);
  x4[at] = a * cosine - b * sine;
  x4[at + fours] = b * cosine + a * sine;
}

@compute @workgroup_size(WORKGROUP)
fn rotate_part_f16(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let words = params.half / 2u;
  if (id >= params.tokens * params.heads * words) { return; }
  let i = id % words;
  let head = id / words;
  let angles = positions[head / params.heads] * params.half + 2u * i;
  let first = table[angles];
  let second = table[angles + 1u];
  let at = head_begin(head) / 2u + i;
  let a = unpack2x16float(x_f16[at]);
  let b = unpack2x16float(x_f16[at + words]);
  let cosine = vec2<f32>(first.x, second.x);
  let sine = params.sign * vec2<f32>(first.y, second.y);
  let rotated = pack_f16(vec4<f32>(a * cosine - b * sine, b * cosine + a * sine));
  x_f16[at] = rotated.x;
  x_f16[at + words] = rotated.y;
}
