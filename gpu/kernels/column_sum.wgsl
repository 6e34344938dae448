// Sums over rows, for the gradients of biases and norm weights, in two stages of fixed order:
//   blocks   partial[b, :] = sum of the BLOCK_ROWS rows of block b, ascending
//   total    out[:] += sum of partial[b, :] over ascending b
// One invocation handles four columns (of one block).

struct Params {
  rows: u32,
  width4: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
override BLOCK_ROWS: u32 = 32u;

@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn blocks(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  let first = (id / params.width4) * BLOCK_ROWS;
  if (first >= params.rows) { return; }
  let column = id % params.width4;
  var sum = vec4<f32>(0.0);
  for (var row = first; row < min(first + BLOCK_ROWS, params.rows); row++) {
    sum += source[row * params.width4 + column];
  }
  result[id] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn total(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let column = linear_id(gid, groups);
  if (column >= params.width4) { return; }
  var sum = vec4<f32>(0.0);
  for (var row = 0u; row < params.rows; row++) {
    sum += source[row * params.width4 + column];
  }
  result[column] += sum;
}
