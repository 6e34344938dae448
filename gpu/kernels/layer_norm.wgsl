// Layer norm of rows, x [T, C], weight and bias [C], over mean and variance of a row:
//   inv = 1 / sqrt(variance + eps);  z = (x - mean) * inv;  y = z * weight + bias
//   dx += inv * (g - mean(g) - z * mean(g * z)),  g = dy * weight      (added to the residual's gradient)
//   dweight = sum over rows of dy * z, in blocks of BLOCK_ROWS rows, the blocks added by column_sum; the
//   bias's gradient is a column sum of dy
// stats [T] of (mean, inv) is kept. One invocation a row (sums over ascending channels, four partial sums;
// the variance in a second pass, so that a large mean costs no bits), or four channels of a block.

struct Params {
  rows: u32,
  width4: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
override BLOCK_ROWS: u32 = 32u;

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
fn at_x(i: u32) -> vec4<f32> { return x[i]; }
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
fn at_weight(i: u32) -> vec4<f32> { return weight[i]; }
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
fn at_bias(i: u32) -> vec4<f32> { return bias[i]; }
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
fn put_y(i: u32, value: vec4<f32>) { y[i] = value; }
@group(0) @binding(5) var<storage, read_write> stats_out: array<vec2<f32>>;

fn row_mean(sum: vec4<f32>) -> f32 {
  return ((sum.x + sum.y) + (sum.z + sum.w)) / f32(params.width4 * 4u);
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.width4;
  var sum = vec4<f32>(0.0);
  for (var c = 0u; c < params.width4; c++) { sum += at_x(base + c); }
  let mean = row_mean(sum);
  var squares = vec4<f32>(0.0);
  for (var c = 0u; c < params.width4; c++) {
    let centred = at_x(base + c) - mean;
    squares += centred * centred;
  }
  let inv = 1.0 / sqrt(row_mean(squares) + params.eps);
  stats_out[row] = vec2<f32>(mean, inv);
  for (var c = 0u; c < params.width4; c++) {
    put_y(base + c, (at_x(base + c) - mean) * inv * at_weight(c) + at_bias(c));
  }
}

@group(0) @binding(3) var<storage, read> dy: array<vec4<f32>>;
fn at_dy(i: u32) -> vec4<f32> { return dy[i]; }
@group(0) @binding(4) var<storage, read> stats_in: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4<f32>>;
fn at_dx(i: u32) -> vec4<f32> { return dx[i]; }

@compute @workgroup_size(WORKGROUP)
fn backward_input(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.width4;
  let stats = stats_in[row];
  var sum = vec4<f32>(0.0);
  var products = vec4<f32>(0.0);
  for (var c = 0u; c < params.width4; c++) {
    let g = at_dy(base + c) * at_weight(c);
    sum += g;
    products += g * ((at_x(base + c) - stats.x) * stats.y);
  }
  let shift = row_mean(sum);
  let slope = row_mean(products);
  for (var c = 0u; c < params.width4; c++) {
    let g = at_dy(base + c) * at_weight(c);
    let z = (at_x(base + c) - stats.x) * stats.y;
    dx[base + c] = at_dx(base + c) + stats.y * (g - shift - z * slope);
  }
}

@group(0) @binding(2) var<storage, read_write> partial: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn backward_weight(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let first = id / params.width4 * BLOCK_ROWS;
  if (first >= params.rows) { return; }
  let channel = id % params.width4;
  var sum = vec4<f32>(0.0);
  for (var row = first; row < min(first + BLOCK_ROWS, params.rows); row++) {
    let at = row * params.width4 + channel;
    sum += at_dy(at) * ((at_x(at) - stats_in[row].x) * stats_in[row].y);
  }
  partial[id] = sum;
}
