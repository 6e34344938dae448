/** Damaged `config.json` and `tokenizer.json`. */
import { assertEquals } from "@std/assert";
import { loadTokenizer } from "../../data/tokenizer.ts";
import { parameterList } from "../../model/param_table.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { decodeUtf8, parseStrictJson } from "../../model/strict_json.ts";
import { SMALL } from "../gguf/small_model.ts";
import { byteLevel, sentencePiece } from "../gguf/small_tokenizers.ts";
import { type Choices, choices, damageBytes, damageJson } from "./random.ts";
import type { Kind } from "./run_cases.ts";

const LLAMA3 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};

const CONFIGS: readonly Record<string, unknown>[] = [
  { model_type: "llama", rope_scaling: LLAMA3, architectures: ["LlamaForCausalLM"] },
  { model_type: "mistral", sliding_window: 16, head_dim: 8 },
  { model_type: "qwen2", use_sliding_window: true, sliding_window: 16, max_window_layers: 1 },
  { model_type: "qwen3", head_dim: 8, layer_types: ["full_attention", "full_attention"] },
  { model_type: "gemma2", head_dim: 8, attn_logit_softcapping: 50, query_pre_attn_scalar: 8 },
  { model_type: "gemma3_text", head_dim: 8, rope_local_base_freq: 100, sliding_window: 16 },
  { model_type: "phi3", partial_rotary_factor: 0.5 },
  { model_type: "olmo2" },
  { model_type: "smollm3", no_rope_layers: [1, 0] },
];

function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value) ?? "");
}

/** Damages the value, or now and then its text. */
function damaged(value: unknown, random: Choices): Uint8Array<ArrayBuffer> {
  return random.below(5) === 0
    ? damageBytes(encode(value), random)
    : encode(damageJson(value, random));
}

export const CONFIG: Kind = {
  name: "config.json",
  count: 5_000,
  make(index) {
    const random = choices("config", index);
    const config = { ...SMALL, ...CONFIGS[index % CONFIGS.length] };
    return index < CONFIGS.length ? encode(config) : damaged(config, random);
  },
  read(bytes, file) {
    const text = decodeUtf8(bytes, file), config = parseArchitecture(text, file);
    // Every size is one that buffers can be made of.
    for (const { shape } of parameterList(config)) {
      for (const size of shape) assertEquals(Number.isSafeInteger(size) && size > 0, true);
    }
    for (const value of [config.normEps, config.attentionScale, config.embeddingScale]) {
      assertEquals(value > 0 && value < Infinity, true);
    }
    const again = JSON.stringify(parseStrictJson(text, file));
    assertEquals(parseArchitecture(again, file), config);
  },
};

const TOKENIZERS = [sentencePiece(), byteLevel()].map(({ tokenizer, config }) => ({
  tokenizer: shorter(JSON.parse(tokenizer)),
  config,
}));

/** Half of the tokens for bytes are enough, and leave damage a chance to meet something else. */
function shorter(json: { model: { vocab: Record<string, number> } }): unknown {
  const { model, ...rest } = json;
  const few = Object.entries(model.vocab).filter(([token, id]) =>
    !/^<0x[4-9A-F]/.test(token) && (token.length > 1 || id < 128 || id > 255)
  );
  return { ...rest, model: { ...model, vocab: Object.fromEntries(few) } };
}

const TEXTS = ["the thing", "  and\n", "ü 😀", ""];

export const TOKENIZER: Kind = {
  name: "tokenizer.json",
  count: 10_000,
  make(index) {
    const random = choices("tokenizer", index);
    const { tokenizer } = TOKENIZERS[index % 2];
    return index < 2 ? encode(tokenizer) : damaged(tokenizer, random);
  },
  read(bytes, file) {
    const text = new TextDecoder().decode(bytes);
    // The settings are those of the tokenizer it came from: its end-of-text token says which.
    const { config } = TOKENIZERS[text.includes("<|end|>") ? 1 : 0];
    withoutWarnings(() => {
      const tokenizer = loadTokenizer({ name: ".", tokenizer: text, config });
      for (const sample of TEXTS) {
        const ids = tokenizer.encode(sample);
        assertEquals(ids.every((id) => id < tokenizer.vocabSize), true, `${file}: ${ids}`);
        assertEquals(tokenizer.encode(sample), ids);
        tokenizer.decode(ids);
      }
    });
  },
};

/** The tokenizer library warns of parts that it leaves out, and goes on with other tokens. */
function withoutWarnings(action: () => void): void {
  const { warn } = console, warnings: string[] = [];
  console.warn = (...parts: unknown[]) => warnings.push(parts.join(" "));
  try {
    action();
  } finally {
    console.warn = warn;
  }
  // Only what was read: a refusal says enough.
  if (warnings.length > 0) throw new Error(`a part was left out: ${warnings[0]}`);
}
