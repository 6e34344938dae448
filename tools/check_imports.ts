/**
 * Fails when an import points against the direction the project's folders have, when a dynamic import
 * stands anywhere but in `modes/mod.ts`, or when `modes/` holds anything but plug-ins and `mod.ts`.
 *
 *     deno run --allow-read tools/check_imports.ts [folder]
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { readFiles } from "./source_files.ts";

/** A finding: where, and what is wrong with it. */
export interface Violation {
  readonly path: string;
  /** 1-based; 0 when it concerns the file as a whole. */
  readonly line: number;
  readonly message: string;
}

/** An import as it is written in a file. */
export interface ImportStatement {
  readonly line: number;
  /** Undefined: a dynamic import whose argument is computed. */
  readonly specifier: string | undefined;
}

const ANY = "any";

/** Folders nothing in the program may import. */
const OUTSIDE = new Set(["tests", "bench", "tools"]);

/** Which other folders a folder may import. `main` stands for files in the root. */
const ALLOWED: Readonly<Record<string, readonly string[] | typeof ANY>> = {
  main: ["commands"],
  commands: ANY,
  trainer: ["model", "modes", "data", "report", "gpu", "losses"],
  model: ["gpu"],
  modes: ["losses"],
  losses: [],
  gpu: [],
  data: [],
  report: [],
  hub: [],
  std: [],
  tests: ANY,
  bench: ANY,
  tools: ANY,
};

/** Pure arithmetic: no package either, so that a plug-in reaches nothing but numbers. */
const WITHOUT_PACKAGES = new Set(["losses", "modes"]);

/** The one place that may import by a computed name. */
const DYNAMIC_IMPORT = "modes/mod.ts";

const MODE_FILE = /^modes\/[a-z][a-z0-9_]*\.ts$/;

const SOURCE = /\.(ts|tsx|mts|js|mjs)$/;

const IMPORT_PATTERNS: readonly RegExp[] = [
  // Static ones begin a line (`deno fmt` sees to that); elsewhere the words are somebody's text.
  /^[ \t]*(?:import|export)\b[^;'"`()]*?\bfrom\s*(["'])(?<specifier>[^"'\n]+)\1/gm,
  /^[ \t]*import\s*(["'])(?<specifier>[^"'\n]+)\1/gm,
  /\bimport\s*\(\s*(?:(["'])(?<specifier>[^"'\n]+)\1\s*[,)])?/g,
  // A Worker's module is an import too.
  /\bnew URL\(\s*(["'])(?<specifier>[^"'\n]+\.(?:ts|js|mjs))\1\s*,\s*import\.meta\.url/g,
];

/** Empties comment lines, so that examples in documentation do not count; line numbers stay. */
function withoutCommentLines(source: string): string {
  return source.replace(/^[ \t]*(\/\/|\/\*|\*).*$/gm, "");
}

/** All imports of a source text: static, exports from, types, dynamic and Worker modules. */
export function findImports(source: string): ImportStatement[] {
  const text = withoutCommentLines(source);
  const found: ImportStatement[] = [];
  for (const pattern of IMPORT_PATTERNS) {
    for (const match of text.matchAll(pattern)) {
      const line = text.slice(0, match.index + match[0].length).split("\n").length;
      found.push({ line, specifier: match.groups?.specifier });
    }
  }
  return found.sort((a, b) => a.line - b.line);
}

/** The folder a path of the project belongs to; `main` for files in the root. */
function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "main";
}

/** Path of a relative import inside the project, undefined when it leaves it. */
function resolve(from: string, specifier: string): string | undefined {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join("/");
}

/** Why `from` may not import `specifier`; undefined when it may. */
function objection(from: string, specifier: string | undefined): string | undefined {
  const folder = folderOf(from);
  if (specifier === undefined) {
    if (from === DYNAMIC_IMPORT || OUTSIDE.has(folder)) return undefined;
    return `imports a computed name; only "${DYNAMIC_IMPORT}" may`;
  }
  if (!specifier.startsWith(".")) {
    if (/^(\/|file:|https?:)/.test(specifier)) {
      return `imports "${specifier}"; use a relative path or a name of deno.json's imports`;
    }
    return WITHOUT_PACKAGES.has(folder)
      ? `imports the package "${specifier}"; ${folder}/ is pure arithmetic and imports none`
      : undefined;
  }
  const target = resolve(from, specifier);
  if (target === undefined) return `imports "${specifier}", which is outside the project`;
  const to = folderOf(target);
  if (to === folder) return undefined;
  const allowed = ALLOWED[folder] ?? [];
  const outside = OUTSIDE.has(to) && !OUTSIDE.has(folder);
  if (!outside && (allowed === ANY || allowed.includes(to))) return undefined;
  const may = allowed === ANY
    ? "anything but tests/, bench/ and tools/"
    : allowed.length === 0
    ? "no other folder"
    : allowed.map((name) => `${name}/`).join(", ");
  return `imports "${target}"; ${folder === "main" ? "the root" : `${folder}/`} may import ${may}`;
}

/**
 * Checks a whole tree.
 *
 * @param files Text by path relative to the project's root; of `modes/` every file, of the rest the
 * sources
 */
export function checkTree(files: ReadonlyMap<string, string>): Violation[] {
  const violations: Violation[] = [];
  for (const [path, source] of files) {
    if (path.startsWith("modes/") && !MODE_FILE.test(path)) {
      const message = 'is not a plug-in: modes/ holds "mod.ts" and files named [a-z][a-z0-9_]*.ts';
      violations.push({ path, line: 0, message });
    }
    if (!SOURCE.test(path)) continue;
    for (const { line, specifier } of findImports(source)) {
      const message = objection(path, specifier);
      if (message !== undefined) violations.push({ path, line, message });
    }
  }
  return violations;
}

if (import.meta.main) {
  const root = Deno.args[0] ?? fileURLToPath(new URL("..", import.meta.url));
  const files = readFiles(root, (path) => SOURCE.test(path) || path.startsWith("modes/"));
  const violations = checkTree(files);
  for (const { path, line, message } of violations) console.error(`${path}:${line} ${message}`);
  if (violations.length > 0) {
    console.error(`${violations.length} imports or files against the order of the folders`);
    Deno.exit(1);
  }
  console.log(`Imports of ${files.size} files point the right way`);
}
