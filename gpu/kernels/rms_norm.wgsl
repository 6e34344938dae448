// Root-mean-square norm of rows, x [T, C], weight [C]:
//   inv = 1 / sqrt(mean(x^2) + eps);  y = x * inv * weight
//   dx += inv * (dy * weight) - x * inv^3 / C * sum(dy * weight * x)      (added to the residual's gradient)
//   dweight = sum over rows of dy * x * inv, in blocks of BLOCK_ROWS rows, the blocks added by column_sum
// With PLUS_ONE the weight is added to 1 wherever it is read. forward_add adds a residual, y = r + norm(x);
// backward_input_apart leaves the input's gradient alone in a buffer of its own, backward_input_over in dy's.
// One invocation a row (sums over ascending channels, four partial sums), or four channels of a block.

struct Params {
  rows: u32,
  width4: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
override BLOCK_ROWS: u32 = 32u;
override PLUS_ONE: bool = false;

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
fn at_x(i: u32) -> vec4<f32> { return x[i]; }
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
fn at_weight(i: u32) -> vec4<f32> { return weight[i]; }
fn gain(c: u32) -> vec4<f32> {
  if (PLUS_ONE) { return at_weight(c) + 1.0; }
  return at_weight(c);
}

@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
fn put_y(i: u32, value: vec4<f32>) { y[i] = value; }
@group(0) @binding(4) var<storage, read_write> inv_out: array<f32>;

// Squares that overflow would make the row zero, and nobody would notice: it becomes NaN instead.
fn inverse_root(mean: f32) -> f32 {
  let bits = bitcast<u32>(mean);
  let inv = 1.0 / sqrt(mean + params.eps);
  return select(inv, bitcast<f32>(bits | 0x00400000u), bits == 0x7f800000u);
}

// inv of the row that begins at base.
fn row_inverse(base: u32) -> f32 {
  var sum = vec4<f32>(0.0);
  for (var c = 0u; c < params.width4; c++) {
    let value = at_x(base + c);
    sum += value * value;
  }
  return inverse_root(((sum.x + sum.y) + (sum.z + sum.w)) / f32(params.width4 * 4u));
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.width4;
  let inv = row_inverse(base);
  inv_out[row] = inv;
  for (var c = 0u; c < params.width4; c++) {
    put_y(base + c, at_x(base + c) * inv * gain(c));
  }
}

@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>;
fn at_residual(i: u32) -> vec4<f32> { return residual[i]; }

@compute @workgroup_size(WORKGROUP)
fn forward_add(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.width4;
  let inv = row_inverse(base);
  inv_out[row] = inv;
  for (var c = 0u; c < params.width4; c++) {
    put_y(base + c, at_residual(base + c) + at_x(base + c) * inv * gain(c));
  }
}

@group(0) @binding(3) var<storage, read> dy: array<vec4<f32>>;
fn at_dy(i: u32) -> vec4<f32> { return dy[i]; }
@group(0) @binding(4) var<storage, read> inv_in: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4<f32>>;
fn at_dx(i: u32) -> vec4<f32> { return dx[i]; }

// What x of a row is multiplied by in its gradient, from the sum of dy * weight * x.
fn scale_of(sum: vec4<f32>, inv: f32) -> f32 {
  let dot = (sum.x + sum.y) + (sum.z + sum.w);
  // In this order, because the cube of inv alone may underflow.
  return dot * inv / f32(params.width4 * 4u) * inv * inv;
}

fn row_scale(base: u32, inv: f32) -> f32 {
  var sum = vec4<f32>(0.0);
  for (var c = 0u; c < params.width4; c++) {
    sum += at_dy(base + c) * gain(c) * at_x(base + c);
  }
  return scale_of(sum, inv);
}

@compute @workgroup_size(WORKGROUP)
fn backward_input(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.width4;
  let inv = inv_in[row];
  let scale = row_scale(base, inv);
  for (var c = 0u; c < params.width4; c++) {
    dx[base + c] = at_dx(base + c) +
      (at_dy(base + c) * gain(c) * inv - at_x(base + c) * scale);
  }
}

@group(0) @binding(5) var<storage, read_write> d_in: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn backward_input_apart(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.width4;
  let inv = inv_in[row];
  let scale = row_scale(base, inv);
  for (var c = 0u; c < params.width4; c++) {
    d_in[base + c] = at_dy(base + c) * gain(c) * inv - at_x(base + c) * scale;
  }
}

@group(0) @binding(3) var<storage, read_write> dy_io: array<vec4<f32>>;
fn at_dy_io(i: u32) -> vec4<f32> { return dy_io[i]; }

@compute @workgroup_size(WORKGROUP)
fn backward_input_over(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.width4;
  let inv = inv_in[row];
  var sum = vec4<f32>(0.0);
  for (var c = 0u; c < params.width4; c++) {
    sum += at_dy_io(base + c) * gain(c) * at_x(base + c);
  }
  let scale = scale_of(sum, inv);
  for (var c = 0u; c < params.width4; c++) {
    dy_io[base + c] = at_dy_io(base + c) * gain(c) * inv - at_x(base + c) * scale;
  }
}

@group(0) @binding(2) var<storage, read_write> partial: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn backward_weight(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let block = id / params.width4;
  let first = block * BLOCK_ROWS;
  if (first >= params.rows) { return; }
  let channel = id % params.width4;
  var sum = vec4<f32>(0.0);
  for (var row = first; row < min(first + BLOCK_ROWS, params.rows); row++) {
    let at = row * params.width4 + channel;
    sum += at_dy(at) * at_x(at) * inv_in[row];
  }
  partial[id] = sum;
}
