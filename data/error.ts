/**
 * The data, a tokenizer or a chat template cannot be used. The message says what was being done, to
 * which file and place, and what to do next; the program ends with exit code 2.
 */
export class DataError extends Error {
  override name = "DataError";
}
