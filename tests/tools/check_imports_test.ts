import { assertEquals, assertMatch } from "@std/assert";
import { checkTree, findImports } from "../../tools/check_imports.ts";

/** Paths of the files a tree is faulted for, in order. */
function faulted(tree: Record<string, string>): string[] {
  return checkTree(new Map(Object.entries(tree))).map(({ path }) => path);
}

/** Does a file of folder `from` may import one of folder `to`? */
function allows(from: string, to: string): boolean {
  const file = from === "main" ? "main.ts" : `${from}/a.ts`;
  const up = from === "main" ? "./" : "../";
  const target = to === "main" ? "main.ts" : `${to}/b.ts`;
  return faulted({ [file]: `import { b } from "${up}${target}";\n` }).length === 0;
}

const FOLDERS = [
  "main",
  "commands",
  "trainer",
  "model",
  "modes",
  "losses",
  "gpu",
  "data",
  "report",
  "std",
  "tests",
  "bench",
  "tools",
];

Deno.test("the arrows between folders are exactly the ones of the design", () => {
  const program = FOLDERS.filter((name) => !["tests", "bench", "tools"].includes(name));
  const expected: Record<string, string[]> = {
    main: ["main", "commands"],
    commands: program,
    trainer: ["trainer", "model", "modes", "data", "report", "gpu", "losses"],
    model: ["model", "gpu"],
    modes: ["modes", "losses"],
    losses: ["losses"],
    gpu: ["gpu"],
    data: ["data"],
    report: ["report"],
    std: ["std"],
    tests: FOLDERS,
    bench: FOLDERS,
    tools: FOLDERS,
  };
  for (const from of FOLDERS) {
    assertEquals(
      FOLDERS.filter((to) => allows(from, to)).sort(),
      [...expected[from]].sort(),
      `from ${from}`,
    );
  }
});

Deno.test("a folder the design does not know may import nothing outside itself", () => {
  assertEquals(faulted({ "utils/a.ts": 'import "../gpu/b.ts";' }), ["utils/a.ts"]);
  assertEquals(faulted({ "utils/a.ts": 'import "./b.ts";' }), []);
});

Deno.test("every way to write an import is seen, with its line", () => {
  const source = `import a from "../a.ts";
import "../b.ts";
export * from '../c.ts';
export type { D } from "../d.ts";
import {
  e,
  f,
} from "../e.ts";
const g = await import("../g.ts");
type H = import("../h.ts").H;
new Worker(new URL("../i.ts", import.meta.url), { type: "module" });
import j from "../j.json" with { type: "json" };
const k = await import(\`../\${name}.ts\`);
`;
  assertEquals(findImports(source), [
    { line: 1, specifier: "../a.ts" },
    { line: 2, specifier: "../b.ts" },
    { line: 3, specifier: "../c.ts" },
    { line: 4, specifier: "../d.ts" },
    { line: 8, specifier: "../e.ts" },
    { line: 9, specifier: "../g.ts" },
    { line: 10, specifier: "../h.ts" },
    { line: 11, specifier: "../i.ts" },
    { line: 12, specifier: "../j.json" },
    { line: 13, specifier: undefined },
  ]);
});

Deno.test("comments, import.meta, Array.from and data files are no imports", () => {
  const source = `// import a from "../a.ts";
/** import b from "../b.ts"; */
/**
 * import { c } from "../c.ts";
 */
const d = import.meta.url;
const e = Array.from("../e.ts");
const f = new URL("../data.json", import.meta.url);
throw new Error(\`no mode came from "../f.ts", import "../g.ts"\`);
`;
  assertEquals(findImports(source), []);
});

Deno.test("a dynamic import by a computed name stands in modes/mod.ts only", () => {
  const source = "export const load = (name) => import(`./${name}.ts`);\n";
  assertEquals(faulted({ "modes/mod.ts": source }), []);
  assertEquals(faulted({ "trainer/loop.ts": source }), ["trainer/loop.ts"]);
  assertEquals(faulted({ "modes/risk.ts": source }), ["modes/risk.ts"]);
});

Deno.test("losses and modes import no packages, nobody imports addresses", () => {
  const source = 'import { z } from "zod";\n';
  assertEquals(faulted({ "losses/a.ts": source, "modes/b.ts": source, "data/c.ts": source }), [
    "losses/a.ts",
    "modes/b.ts",
  ]);
  assertEquals(faulted({ "tests/a.ts": 'import "https://example.com/a.ts";' }), ["tests/a.ts"]);
});

Deno.test("modes/ holds plug-ins and mod.ts only", () => {
  const tree = {
    "modes/mod.ts": "",
    "modes/beta_dpo.ts": "",
    "modes/Risk.ts": "",
    "modes/2fast.ts": "",
    "modes/README.md": "",
    "modes/nested/a.ts": "",
  };
  assertEquals(faulted(tree), [
    "modes/Risk.ts",
    "modes/2fast.ts",
    "modes/README.md",
    "modes/nested/a.ts",
  ]);
});

Deno.test("an import that leaves the project is a violation", () => {
  assertEquals(faulted({ "tests/a.ts": 'import "../../other/b.ts";' }), ["tests/a.ts"]);
});

Deno.test("the message names file, line, target and what is allowed", () => {
  const [violation] = checkTree(new Map([["model/a.ts", '\nimport "../trainer/loop.ts";\n']]));
  assertEquals([violation.path, violation.line], ["model/a.ts", 2]);
  assertMatch(violation.message, /"trainer\/loop\.ts"; model\/ may import gpu\//);
});

const canRead = (await Deno.permissions.query({ name: "read" })).state === "granted";
const canWrite = (await Deno.permissions.query({ name: "write" })).state === "granted";
const canRun = (await Deno.permissions.query({ name: "run" })).state === "granted";

Deno.test({
  name:
    "the tool exits with 1 on a bad tree and 0 on a good one (needs read, write, run permission)",
  ignore: !(canRead && canWrite && canRun),
  fn: async () => {
    const root = await Deno.makeTempDir();
    try {
      const run = async () => {
        const file = new URL("../../tools/check_imports.ts", import.meta.url).href;
        const args = ["run", "--no-lock", "--allow-read", file, root];
        const { code, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
        return { code, errors: new TextDecoder().decode(stderr) };
      };
      for (const folder of ["gpu", "model", "node_modules"]) Deno.mkdirSync(`${root}/${folder}`);
      Deno.writeTextFileSync(`${root}/node_modules/x.ts`, 'import "../model/a.ts";');
      Deno.writeTextFileSync(`${root}/model/a.ts`, 'import "../gpu/b.ts";');
      assertEquals((await run()).code, 0);
      Deno.writeTextFileSync(`${root}/gpu/b.ts`, 'import "../model/a.ts";');
      const bad = await run();
      assertEquals(bad.code, 1);
      assertMatch(bad.errors, /^gpu\/b\.ts:1 imports "model\/a\.ts"/m);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
});
