/** How much the random tests try: as in `deno task test`, or `FUZZ` times as much. */

export const MAY_READ_COUNTS = (await Deno.permissions.query({ name: "env" })).state === "granted";

/** `count`, times what the environment asks for. */
export function timesFuzz(count: number): number {
  const factor = MAY_READ_COUNTS ? Number(Deno.env.get("FUZZ") ?? 1) : 1;
  return Math.ceil(count * factor);
}
