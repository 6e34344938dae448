/**
 * Writes `configs/config.schema.json`, from which editors complete and check configs: each YAML names
 * it in its first line.
 *
 *     deno run --allow-write=configs commands/schema.ts
 */
import { configJsonSchema } from "../trainer/config.ts";

/** The schema file's text, as `deno fmt` leaves it. */
export function schemaText(): string {
  return JSON.stringify(configJsonSchema(), null, 2) + "\n";
}

if (import.meta.main) {
  const target = new URL("../configs/config.schema.json", import.meta.url);
  await Deno.writeTextFile(target, schemaText());
  console.log("Wrote configs/config.schema.json");
}
