// Rows picked from a table by index: the embedding, and the hidden states that the head scores.
//   forward   out[i, :] = table[index[i] - row_begin, :]    for the rows this part of the table holds
//   forward_add  the same, added to out
//   backward  d_table[row, :] += sum over the list of that row of d_out[i, :]
// The backward pass is a gather over lists made on the host (a row's positions, ascending), so that
// the order of a sum never depends on scheduling. One invocation handles four channels.

struct Params {
  count: u32,      // forward: rows of out; backward: distinct rows
  width4: u32,     // channels / 4
  row_begin: u32,  // first table row of this part
  row_end: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count * params.width4) { return; }
  let row = index[id / params.width4];
  if (row < params.row_begin || row >= params.row_end) { return; }
  out[id] = table[(row - params.row_begin) * params.width4 + id % params.width4];
}

@compute @workgroup_size(WORKGROUP)
fn forward_add(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count * params.width4) { return; }
  let row = index[id / params.width4];
  if (row < params.row_begin || row >= params.row_end) { return; }
  out[id] += table[(row - params.row_begin) * params.width4 + id % params.width4];
}

// lists: [count] triples of (row, first, end) into positions.
@group(0) @binding(1) var<storage, read> lists: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> d_out: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_table: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let id = linear_id(gid, groups);
  if (id >= params.count * params.width4) { return; }
  let list = (id / params.width4) * 3u;
  let channel = id % params.width4;
  let row = lists[list];
  if (row < params.row_begin || row >= params.row_end) { return; }
  let at = (row - params.row_begin) * params.width4 + channel;
  var sum = d_table[at];
  for (var i = lists[list + 1u]; i < lists[list + 2u]; i++) {
    sum += d_out[positions[i] * params.width4 + channel];
  }
  d_table[at] = sum;
}
