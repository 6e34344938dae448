/**
 * Stand-in for `@std/cli`, for networks that reach npm but not JSR: its `parseArgs`. `deno unlink
 * std/cli` switches to the real package.
 *
 * @module
 */
export * from "./parse_args.ts";
