/**
 * The files of the example model's folder beside its weights: architecture, tokenizer, chat template.
 */
import { tokenizerJson, trainBpe } from "../bpe.ts";

const eos = "<|endoftext|>";
const bos = "<|bos|>";
/** Ids 0 and 1. */
const specials = [eos, bos];

/** What differs between the models of the project's worlds; sizes are multiples of 16. */
export interface ModelShape {
  readonly vocabulary: number;
  readonly maxLength: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
}

/** The example's: 722,048 parameters, head size 32. */
const exampleShape: ModelShape = {
  vocabulary: 1024,
  maxLength: 256,
  hidden: 128,
  intermediate: 256,
  layers: 4,
  heads: 4,
  keyValueHeads: 2,
};

/**
 * Messages in the HH form of the training data. An answer carries no end mark here: in a conversation the
 * next turn follows it, and the trainer ends the last one with the end-of-sequence token.
 */
const chatTemplate = "{{ bos_token }}{% for message in messages %}" +
  "{% if message['role'] == 'user' %}{{ '\\n\\nHuman: ' + message['content'] | trim }}" +
  "{% elif message['role'] == 'assistant' %}{{ '\\n\\nAssistant: ' + message['content'] | trim }}" +
  "{% else %}{{ raise_exception('This model knows the roles user and assistant only') }}{% endif %}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '\\n\\nAssistant:' }}{% endif %}";

/** A Llama with tied embeddings, as Hugging Face writes it. */
const configOf = (shape: ModelShape) => ({
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: shape.vocabulary,
  hidden_size: shape.hidden,
  intermediate_size: shape.intermediate,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.keyValueHeads,
  head_dim: shape.hidden / shape.heads,
  hidden_act: "silu",
  max_position_embeddings: shape.maxLength,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_scaling: null,
  attention_bias: false,
  mlp_bias: false,
  attention_dropout: 0,
  initializer_range: 0.02,
  tie_word_embeddings: true,
  bos_token_id: specials.indexOf(bos),
  eos_token_id: specials.indexOf(eos),
  pad_token_id: null,
  use_cache: true,
  torch_dtype: "float16",
});

/**
 * Trains the tokenizer on `texts` and returns the files as name and JSON content.
 *
 * Throws a `RangeError` when the texts are too few for the vocabulary.
 */
export function modelFiles(
  texts: Iterable<string>,
  shape: ModelShape = exampleShape,
): Readonly<Record<string, object>> {
  const config = configOf(shape);
  return {
    "config.json": config,
    "generation_config.json": {
      bos_token_id: config.bos_token_id,
      eos_token_id: config.eos_token_id,
      do_sample: false,
    },
    "special_tokens_map.json": { bos_token: bos, eos_token: eos },
    "tokenizer.json": tokenizerJson(trainBpe(texts, shape.vocabulary, specials), specials, bos),
    "tokenizer_config.json": {
      add_bos_token: true,
      add_eos_token: false,
      bos_token: bos,
      chat_template: chatTemplate,
      clean_up_tokenization_spaces: false,
      eos_token: eos,
      model_max_length: shape.maxLength,
      tokenizer_class: "PreTrainedTokenizerFast",
    },
  };
}
