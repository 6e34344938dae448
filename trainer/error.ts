/** A configuration that cannot be used; the program ends with exit code 2. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** Training met a number that is not finite; the program ends with exit code 4. */
export class NumbersError extends Error {
  override name = "NumbersError";
}
