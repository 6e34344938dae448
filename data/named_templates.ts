/**
 * Chat templates by name, for models that come without one. Each writes the public format of its
 * family; tests compare the text with Python's Jinja2.
 */
import chatml from "./templates/chatml.jinja" with { type: "text" };
import gemma from "./templates/gemma.jinja" with { type: "text" };
import llama3 from "./templates/llama3.jinja" with { type: "text" };
import mistral from "./templates/mistral.jinja" with { type: "text" };
import qwen from "./templates/qwen.jinja" with { type: "text" };
import zephyr from "./templates/zephyr.jinja" with { type: "text" };
import { type ChatRenderer, compileChatTemplate } from "./chat_template.ts";
import { DataError } from "./error.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** The templates that come with the program. */
export const NAMED_TEMPLATES: Readonly<Record<string, string>> = {
  chatml,
  gemma,
  llama3,
  mistral,
  qwen,
  zephyr,
};

/**
 * The renderer that `dataset.chat_template` asks for.
 *
 * @param setting true: the model's own; false: none; a text: the model's own template of that name
 * (models may have several), else one of {@linkcode NAMED_TEMPLATES}, else a file.
 * @param readFile reads a template file; undefined when there is none.
 * @throws DataError when there is no such template, or it does not compile.
 */
export function chooseTemplate(
  setting: boolean | string,
  tokenizer: TextTokenizer,
  readFile: (path: string) => string | undefined,
): ChatRenderer | undefined {
  if (setting === false) return undefined;
  const tokens = { bosToken: tokenizer.bosToken, eosToken: tokenizer.eosToken };
  const owns = [...tokenizer.namedTemplates.keys()].map((name) => `, ${name}`).join("");
  const known = Object.keys(NAMED_TEMPLATES).join(", ") + owns;
  if (setting === true) {
    if (tokenizer.chatTemplate) return tokenizer.chatTemplate;
    throw new DataError(
      `Rendering conversations: the tokenizer of "${tokenizer.name}" has no chat template, or ` +
        `none named "default"; set ` +
        `"dataset.chat_template" to one of ${known} or to a .jinja file, or to false`,
    );
  }
  const own = tokenizer.namedTemplates.get(setting);
  if (own !== undefined) return compileChatTemplate(tokenizer.name, own, tokens);
  if (Object.hasOwn(NAMED_TEMPLATES, setting)) {
    return compileChatTemplate(setting, NAMED_TEMPLATES[setting], tokens);
  }
  const text = readFile(setting);
  if (text !== undefined) return compileChatTemplate(setting, text, tokens);
  throw new DataError(
    `Reading chat template "${setting}": there is no such file, and no template of that name; ` +
      `names are ${known}`,
  );
}
