// Global gradient norm and the update of one slab of parameters.
//   squares  partial[i] = sum of squares of the PER_THREAD4 vec4 values of invocation i, ascending
//   norm     one invocation: status = (norm, scale, finite, 0) from all partial sums, in order
//   adamw    PyTorch's AdamW with decoupled weight decay; rmsprop: PyTorch's RMSprop
// The updates do nothing when status says the norm is not finite. NaN and Inf are found on bits:
// a comparison of a value with itself may be folded away.

struct Params {
  count4: u32,       // vec4 values of the slab (squares, updates); partial sums (norm)
  offset: u32,       // where this slab's partial sums start
  max_norm: f32,     // 0: no clipping
  rate: f32,         // learning rate (rmsprop), learning rate / bias correction 1 (adamw)
  rest1: f32,        // 1 - beta1, rounded from float64
  rest2: f32,        // 1 - beta2, or 1 - alpha (rmsprop)
  eps: f32,
  decay: f32,        // adamw: 1 - learning rate * weight decay; rmsprop: weight decay
  correction: f32,   // sqrt(bias correction 2)
}
@group(0) @binding(0) var<uniform> params: Params;
const PER_THREAD4: u32 = 16u;

@group(0) @binding(1) var<storage, read> gradient: array<vec4<f32>>;
fn at_gradient(i: u32) -> vec4<f32> { return gradient[i]; }
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn squares(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let first = id * PER_THREAD4;
  if (first >= params.count4) { return; }
  var sum = vec4<f32>(0.0);
  for (var i = first; i < min(first + PER_THREAD4, params.count4); i++) {
    let value = at_gradient(i);
    sum += value * value;
  }
  partial[params.offset + id] = (sum.x + sum.y) + (sum.z + sum.w);
}

@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> folded: array<f32>;

// Folds 64 neighbouring partial sums into one; repeated by the host until few are left.
@compute @workgroup_size(WORKGROUP)
fn fold(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let first = id * 64u;
  if (first >= params.count4) { return; }
  var sum = 0.0;
  for (var i = first; i < min(first + 64u, params.count4); i++) { sum += sums[i]; }
  folded[id] = sum;
}

@compute @workgroup_size(1)
fn norm() {
  var sum = 0.0;
  for (var i = 0u; i < params.count4; i++) { sum += sums[i]; }
  let finite = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u;
  let length = sqrt(sum);
  var scale = 1.0;
  if (params.max_norm > 0.0) { scale = min(1.0, params.max_norm / (length + 1e-6)); }
  folded[0] = length;
  folded[1] = scale;
  folded[2] = select(0.0, 1.0, finite);
}

@group(0) @binding(2) var<storage, read> status: array<f32>;
@group(0) @binding(3) var<storage, read_write> weight: array<vec4<f32>>;
fn at_weight(i: u32) -> vec4<f32> { return weight[i]; }
@group(0) @binding(4) var<storage, read_write> moment1: array<vec4<f32>>;
fn at_moment1(i: u32) -> vec4<f32> { return moment1[i]; }
@group(0) @binding(5) var<storage, read_write> moment2: array<vec4<f32>>;
fn at_moment2(i: u32) -> vec4<f32> { return moment2[i]; }

@compute @workgroup_size(WORKGROUP)
fn adamw(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count4 || status[2] == 0.0) { return; }
  let g = at_gradient(id) * status[1];
  let before1 = at_moment1(id);
  let before2 = at_moment2(id);
  let m = before1 + (g - before1) * params.rest1;
  // Written as a difference: 1 - beta2 rounded from float64 has no bias, beta2 in float32 has one.
  let v = before2 + (g * g - before2) * params.rest2;
  moment1[id] = m;
  moment2[id] = v;
  weight[id] = at_weight(id) * params.decay - params.rate * m / (sqrt(v) / params.correction + params.eps);
}

@group(0) @binding(4) var<storage, read_write> average: array<vec4<f32>>;
fn at_average(i: u32) -> vec4<f32> { return average[i]; }

@compute @workgroup_size(WORKGROUP)
fn rmsprop(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count4 || status[2] == 0.0) { return; }
  let w = at_weight(id);
  let g = at_gradient(id) * status[1] + params.decay * w;
  let before = at_average(id);
  let v = before + (g * g - before) * params.rest2;
  average[id] = v;
  weight[id] = w - params.rate * g / (sqrt(v) + params.eps);
}
