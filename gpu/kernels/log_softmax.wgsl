// Log-probability of one target in each row, over a vocabulary that is seen in chunks of columns:
//   accumulate  folds a chunk of logits [rows, stride] into running (max, sum of exp, target logit,
//               sum of exp^2)
//   finish      logp = target - max - log(sum),  lse = max + log(sum),
//               log_sum_p2 = log of the sum of squared probabilities
//   backward    in place, logits -> d logits = seed * (onehot - exp(logit - lse))
// With SOFTCAP above 0 a logit is SOFTCAP * tanh(logit / SOFTCAP) wherever it is read, and d logits are the
// gradient of what stood there.
// Columns are folded in strips of 256 that start at multiples of 256 of the vocabulary, so that the
// chunk's size changes no bit. One invocation a row; in backward, PER_THREAD4 times four columns of a row.

struct Params {
  rows: u32,
  columns: u32,   // valid columns of this chunk
  stride4: u32,   // row stride of logits / 4
  begin: u32,     // first vocabulary id of this chunk
}
@group(0) @binding(0) var<uniform> params: Params;
const STRIP4: u32 = 64u;
const PER_THREAD4: u32 = 8u;
const LOWEST: f32 = -3.0e38;
override SOFTCAP: f32 = 0.0;

// Arguments beyond 15 are 1 in f32; some adapters make NaN of large ones.
fn capped(z: vec4<f32>) -> vec4<f32> {
  if (SOFTCAP > 0.0) { return SOFTCAP * tanh(clamp(z / SOFTCAP, vec4<f32>(-15.0), vec4<f32>(15.0))); }
  return z;
}

// running[row] = (max, sum of e^(logit - max), target logit, sum of e^(2 (logit - max)))
@group(0) @binding(1) var<storage, read> logits: array<vec4<f32>>;
fn at_logits(i: u32) -> vec4<f32> { return logits[i]; }
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> running: array<vec4<f32>>;

fn logit(i: u32) -> vec4<f32> { return capped(at_logits(i)); }

fn keep(value: vec4<f32>, column: u32, fallback: f32) -> vec4<f32> {
  let at = vec4<u32>(column, column + 1u, column + 2u, column + 3u);
  return select(vec4<f32>(fallback), value, at < vec4<u32>(params.columns));
}

@compute @workgroup_size(WORKGROUP)
fn accumulate(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.stride4;
  let target_id = targets[row];
  var state = running[row];
  if (params.begin == 0u) { state = vec4<f32>(LOWEST, 0.0, 0.0, 0.0); }
  let columns4 = (params.columns + 3u) / 4u;
  for (var strip = 0u; strip < columns4; strip += STRIP4) {
    let end = min(strip + STRIP4, columns4);
    var top = vec4<f32>(LOWEST);
    for (var c = strip; c < end; c++) {
      top = max(top, keep(logit(base + c), c * 4u, LOWEST));
    }
    let highest = max(max(max(top.x, top.y), max(top.z, top.w)), state.x);
    var sum = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    for (var c = strip; c < end; c++) {
      let term = keep(exp(logit(base + c) - highest), c * 4u, 0.0);
      sum += term;
      squares += term * term;
    }
    let shrink = exp(state.x - highest);
    state.y = state.y * shrink + ((sum.x + sum.y) + (sum.z + sum.w));
    state.w = state.w * (shrink * shrink) + ((squares.x + squares.y) + (squares.z + squares.w));
    state.x = highest;
  }
  if (target_id >= params.begin && target_id < params.begin + params.columns) {
    let at = target_id - params.begin;
    let four = logit(base + at / 4u);
    state.z = select(select(four.x, four.y, at % 4u == 1u), select(four.z, four.w, at % 4u == 3u), at % 4u >= 2u);
  }
  running[row] = state;
}

@group(0) @binding(1) var<storage, read> running_in: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> logp: array<f32>;
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_sum_p2: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn finish(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let state = running_in[row];
  let total = log(state.y);
  logp[row] = (state.z - state.x) - total;
  lse[row] = state.x + total;
  log_sum_p2[row] = log(state.w) - 2.0 * total;
}

@group(0) @binding(1) var<storage, read_write> d_logits: array<vec4<f32>>;
fn at_d_logits(i: u32) -> vec4<f32> { return d_logits[i]; }
@group(0) @binding(3) var<storage, read> lse_in: array<f32>;
@group(0) @binding(4) var<storage, read> seeds: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let runs = (params.stride4 + PER_THREAD4 - 1u) / PER_THREAD4;
  if (id >= params.rows * runs) { return; }
  let row = id / runs;
  let first = id % runs * PER_THREAD4;
  let target_id = targets[row];
  let total = lse_in[row];
  let seed = seeds[row];
  for (var c = first; c < min(first + PER_THREAD4, params.stride4); c++) {
    let column = c * 4u;
    let ids = vec4<u32>(column, column + 1u, column + 2u, column + 3u) + params.begin;
    let onehot = select(vec4<f32>(0.0), vec4<f32>(1.0), ids == vec4<u32>(target_id));
    let at = row * params.stride4 + c;
    let z = capped(at_d_logits(at));
    var slope = seed * (onehot - exp(z - total));
    if (SOFTCAP > 0.0) { slope *= 1.0 - (z / SOFTCAP) * (z / SOFTCAP); }
    d_logits[at] = keep(slope, column, 0.0);
  }
}
