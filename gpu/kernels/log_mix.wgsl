// Log-probability of one target in each row under mixtures of the logits of two models, over a
// vocabulary that is seen in chunks of columns:
//   plus = z + epsilon (z - r),  minus = z - epsilon (z - r)   for logits z of one and r of the other
//   accumulate  folds a chunk of both [rows, stride] into running: (max, sum of exp, target) of each
//   finish      logp = target - max - log(sum), plus and minus side by side
// With POLICY_SOFTCAP, OTHER_SOFTCAP above 0 a logit of the one, the other is cap * tanh(logit / cap).
// Written so that equal logits give exactly their own mixture. Columns are folded in strips of 256
// that start at multiples of 256 of the vocabulary, so that the chunk's size changes no bit. One
// invocation a row.

struct Params {
  rows: u32,
  columns: u32,   // valid columns of this chunk
  stride4: u32,   // row stride of both logits / 4
  begin: u32,     // first vocabulary id of this chunk
  epsilon: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
const STRIP4: u32 = 64u;
const LOWEST: f32 = -3.0e38;
override POLICY_SOFTCAP: f32 = 0.0;
override OTHER_SOFTCAP: f32 = 0.0;

// Arguments beyond 15 are 1 in f32; some adapters make NaN of large ones.
fn capped(z: vec4<f32>, cap: f32) -> vec4<f32> {
  if (cap > 0.0) { return cap * tanh(clamp(z / cap, vec4<f32>(-15.0), vec4<f32>(15.0))); }
  return z;
}

@group(0) @binding(1) var<storage, read> policy: array<vec4<f32>>;
fn at_policy(i: u32) -> vec4<f32> { return policy[i]; }
@group(0) @binding(2) var<storage, read> other: array<vec4<f32>>;
fn at_other(i: u32) -> vec4<f32> { return other[i]; }
@group(0) @binding(3) var<storage, read> targets: array<u32>;
// running[2 row] is plus, running[2 row + 1] minus: (max, sum, target, unused)
@group(0) @binding(4) var<storage, read_write> running: array<vec4<f32>>;

fn keep(value: vec4<f32>, column: u32, fallback: f32) -> vec4<f32> {
  let at = vec4<u32>(column, column + 1u, column + 2u, column + 3u);
  return select(vec4<f32>(fallback), value, at < vec4<u32>(params.columns));
}

fn mixed(at: u32, epsilon: f32) -> vec4<f32> {
  let z = capped(at_policy(at), POLICY_SOFTCAP);
  return z + epsilon * (z - capped(at_other(at), OTHER_SOFTCAP));
}

fn fold(before: vec4<f32>, base: u32, target_id: u32, epsilon: f32) -> vec4<f32> {
  var state = before;
  if (params.begin == 0u) { state = vec4<f32>(LOWEST, 0.0, 0.0, 0.0); }
  let columns4 = (params.columns + 3u) / 4u;
  for (var strip = 0u; strip < columns4; strip += STRIP4) {
    let end = min(strip + STRIP4, columns4);
    var top = vec4<f32>(LOWEST);
    for (var c = strip; c < end; c++) {
      top = max(top, keep(mixed(base + c, epsilon), c * 4u, LOWEST));
    }
    let highest = max(max(max(top.x, top.y), max(top.z, top.w)), state.x);
    var sum = vec4<f32>(0.0);
    for (var c = strip; c < end; c++) {
      sum += keep(exp(mixed(base + c, epsilon) - highest), c * 4u, 0.0);
    }
    state.y = state.y * exp(state.x - highest) + ((sum.x + sum.y) + (sum.z + sum.w));
    state.x = highest;
  }
  if (target_id >= params.begin && target_id < params.begin + params.columns) {
    let at = target_id - params.begin;
    let four = mixed(base + at / 4u, epsilon);
    state.z = select(select(four.x, four.y, at % 4u == 1u), select(four.z, four.w, at % 4u == 3u), at % 4u >= 2u);
  }
  return state;
}

@compute @workgroup_size(WORKGROUP)
fn accumulate(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_id(gid, groups);
  if (row >= params.rows) { return; }
  let base = row * params.stride4;
  let target_id = targets[row];
  running[2u * row] = fold(running[2u * row], base, target_id, params.epsilon);
  running[2u * row + 1u] = fold(running[2u * row + 1u], base, target_id, -params.epsilon);
}

@group(0) @binding(1) var<storage, read> running_in: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> logps: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn finish(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= 2u * params.rows) { return; }
  let state = running_in[id];
  logps[id] = (state.z - state.x) - log(state.y);
}
