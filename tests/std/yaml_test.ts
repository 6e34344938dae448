import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { parse, parseAll, stringify } from "@std/yaml";

Deno.test("scalars have the types a config relies on", () => {
  const text = `
a: 5e-7
b: 1e-6
c: .inf
d: ~
e: yes
f: 0x10
g: 1e5
h: true
i: "5e-7"
j: -.5
k: .nan
l:
m: train[:30%]
`;
  assertEquals(parse(text), {
    a: 5e-7,
    b: 1e-6,
    c: Infinity,
    d: null,
    e: "yes",
    f: 16,
    g: 100000,
    h: true,
    i: "5e-7",
    j: -0.5,
    k: NaN,
    l: null,
    m: "train[:30%]",
  });
});

Deno.test("collections, merge keys and anchors", () => {
  const text = "base: &b {beta: 0.1, m: 0.9}\nuse:\n  <<: *b\n  m: 0.5\nlist: [q_proj, 1]\n";
  assertEquals(parse(text), {
    base: { beta: 0.1, m: 0.9 },
    use: { beta: 0.1, m: 0.5 },
    list: ["q_proj", 1],
  });
});

Deno.test("empty text and comments are null", () => {
  assertEquals(parse(""), null);
  assertEquals(parse("# nothing\n"), null);
});

Deno.test("malformed text is a SyntaxError that says the line", () => {
  const cases: [string, RegExp][] = [
    ["a: 1\nb: 2\na: 3\n", /line 3, column 1/],
    ["a: 1\nb: [1, 2\nc: 3\n", /line 3/],
    ["a:\n\tb: 1\n", /line 2/],
    ["x: 'open\n", /line \d/],
    ["a: !python/object 1\n", /line 1/],
  ];
  for (const [text, line] of cases) {
    assertMatch(assertThrows(() => parse(text), SyntaxError).message, line);
  }
});

Deno.test("a second document is an error for parse, an item for parseAll", () => {
  assertThrows(() => parse("a: 1\n---\nb: 2\n"), SyntaxError);
  assertEquals(parseAll("a: 1\n---\nb: 2\n"), [{ a: 1 }, { b: 2 }]);
});

Deno.test("a key named __proto__ does not reach the prototype", () => {
  const value = parse("__proto__: {polluted: 1}\n") as Record<string, unknown>;
  assertEquals((value as { polluted?: number }).polluted, undefined);
  assertEquals(({} as { polluted?: number }).polluted, undefined);
});

Deno.test("stringify is read back unchanged", () => {
  const value = { a: 5e-7, b: [1, "1", "yes", null, true], c: { d: "x: y\nz", e: "" }, f: "1e5" };
  const text = stringify(value);
  assert(text.endsWith("\n"));
  assertEquals(parse(text), value);
});
