/** GGUF files as lists of fields, so that each can be wrong by itself. */
/** A number of some width, a text with its length before it, or bytes; `pad`: zeros up to 32 bytes. */
export type Field =
  | { readonly type: "u8" | "u32" | "u64"; readonly value: bigint }
  | { readonly type: "text"; readonly value: string }
  | { readonly type: "bytes"; readonly value: Uint8Array }
  | { readonly type: "pad"; readonly value: bigint };

const u8 = (value: number): Field => ({ type: "u8", value: BigInt(value) });
const u32 = (value: number): Field => ({ type: "u32", value: BigInt(value) });
const u64 = (value: number): Field => ({ type: "u64", value: BigInt(value) });
const text = (value: string): Field => ({ type: "text", value });
const bytes = (length: number): Field => ({
  type: "bytes",
  value: Uint8Array.from({ length }, (_, i) => i * 37 & 0x3f),
});
const pad: Field = { type: "pad", value: 32n };

/** The bytes of a file. A number wider than its field keeps its low bits. */
export function serialize(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  const number = (value: bigint, width: number) => {
    for (let i = 0; i < width; i++) {
      out.push(Number(BigInt.asUintN(64, value) >> BigInt(8 * i) & 255n));
    }
  };
  for (const { type, value } of fields) {
    if (type === "u8") number(value, 1);
    else if (type === "u32") number(value, 4);
    else if (type === "u64") number(value, 8);
    else if (type === "bytes") out.push(...value);
    else if (type === "text") {
      const encoded = new TextEncoder().encode(value);
      number(BigInt(encoded.length), 8);
      out.push(...encoded);
    } else {
      // A damaged width must not make the test's own file large.
      const width = Number(value > 0n && value <= 4096n ? value : 1n);
      while (out.length % width !== 0) out.push(0);
    }
  }
  return Uint8Array.from(out);
}

/** Every kind of value, and tensors of five types. */
export function oddFields(): Field[] {
  return [
    u32(0x46554747),
    u32(3),
    u64(5),
    u64(9),
    ...[text("a.u8"), u32(0), u8(7)],
    ...[text("a.bool"), u32(7), u8(1)],
    ...[text("a.text"), u32(8), text("hello")],
    ...[text("a.u64"), u32(10), u64(5)],
    ...[text("a.f32"), u32(6), u32(0x3f800000)],
    ...[text("a.texts"), u32(9), u32(8), u64(2), text("x"), text("é")],
    ...[text("a.i32s"), u32(9), u32(5), u64(2), u32(1), u32(0xffffffff)],
    ...[text("a.bools"), u32(9), u32(7), u64(2), u8(0), u8(1)],
    ...[text("general.alignment"), u32(4), u32(32)],
    ...[text("t.f32"), u32(2), u64(2), u64(3), u32(0), u64(0)],
    ...[text("t.f16"), u32(1), u64(4), u32(1), u64(32)],
    ...[text("t.q8"), u32(2), u64(32), u64(2), u32(8), u64(64)],
    ...[text("t.q6"), u32(1), u64(256), u32(14), u64(160)],
    ...[text("t.empty"), u32(1), u64(0), u32(0), u64(384)],
    pad,
    ...[bytes(24), pad, bytes(8), pad, bytes(68), pad, bytes(210), pad],
  ];
}

/** A small Llama with a SentencePiece vocabulary. */
export function modelFields(): Field[] {
  const number = (value: number): [Field, Field] => [u32(4), u32(value)];
  const tokens = ["<unk>", "<s>", "</s>", "▁", "t", "h", "e", "▁t", "he", "▁the", "n", "d"];
  const keys: [string, Field[]][] = [
    ["general.architecture", [u32(8), text("llama")]],
    ["llama.context_length", number(64)],
    ["llama.embedding_length", number(16)],
    ["llama.block_count", number(1)],
    ["llama.feed_forward_length", number(8)],
    ["llama.attention.head_count", number(4)],
    ["llama.attention.head_count_kv", number(2)],
    ["llama.rope.dimension_count", number(4)],
    ["llama.attention.layer_norm_rms_epsilon", [u32(6), u32(0x3727c5ac)]],
    ["tokenizer.ggml.model", [u32(8), text("llama")]],
    ["tokenizer.ggml.tokens", [u32(9), u32(8), u64(tokens.length), ...tokens.map(text)]],
    ["tokenizer.ggml.scores", [
      u32(9),
      u32(6),
      u64(tokens.length),
      ...tokens.map((_, i) => u32(i === 7 ? 0 : 0xbf800000 + i)),
    ]],
    ["tokenizer.ggml.token_type", [
      u32(9),
      u32(5),
      u64(tokens.length),
      ...tokens.map((_, i) => u32(i === 0 ? 2 : i < 3 ? 3 : 1)),
    ]],
    ["tokenizer.ggml.bos_token_id", number(1)],
    ["tokenizer.ggml.eos_token_id", number(2)],
    ["tokenizer.ggml.unknown_token_id", number(0)],
  ];
  const shapes: [string, number[]][] = [
    ["token_embd.weight", [16, tokens.length]],
    ["output_norm.weight", [16]],
    ["blk.0.attn_norm.weight", [16]],
    ["blk.0.attn_q.weight", [16, 16]],
    ["blk.0.attn_k.weight", [16, 8]],
    ["blk.0.attn_v.weight", [16, 8]],
    ["blk.0.attn_output.weight", [16, 16]],
    ["blk.0.ffn_norm.weight", [16]],
    ["blk.0.ffn_gate.weight", [16, 8]],
    ["blk.0.ffn_up.weight", [16, 8]],
    ["blk.0.ffn_down.weight", [8, 16]],
  ];
  let offset = 0;
  const list = shapes.flatMap(([name, shape]) => {
    const at = offset;
    offset += Math.ceil(shape.reduce((a, b) => a * b) * 2 / 32) * 32;
    return [text(name), u32(shape.length), ...shape.map(u64), u32(1), u64(at)];
  });
  const head = [u32(0x46554747), u32(3), u64(shapes.length), u64(keys.length)];
  const pairs = keys.flatMap(([key, value]) => [text(key), ...value]);
  return [...head, ...pairs, ...list, pad, bytes(offset)];
}
