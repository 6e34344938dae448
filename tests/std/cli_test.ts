import { assertEquals } from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import * as cli from "@std/cli";

Deno.test("parseArgs reads every declared kind of option", () => {
  const args = parseArgs(
    ["run", "--config", "a.yaml", "--set=a.b=1", "--set", "c=-5e-7", "--resume", "-o", "out"],
    {
      string: ["config", "set", "output_dir", "model"],
      boolean: ["resume", "help"],
      collect: ["set"],
      alias: { output_dir: "o" },
      default: { model: "tiny" },
    },
  );
  assertEquals(args._, ["run"]);
  assertEquals(args.config, "a.yaml");
  assertEquals(args.set, ["a.b=1", "c=-5e-7"]);
  assertEquals(args.resume, true);
  assertEquals(args.help, false);
  assertEquals(args.output_dir, "out");
  assertEquals(args.o, "out");
  assertEquals(args.model, "tiny");
});

Deno.test("an alias may be written either way round", () => {
  const ways: Record<string, string>[] = [{ h: "help", c: "config" }, { help: "h", config: "c" }];
  for (const alias of ways) {
    const options = { boolean: ["help"], string: ["config"], alias } as const;
    const short = parseArgs(["-h", "-c", "a"], options);
    assertEquals([short.help, short.config, short.h, short.c], [true, "a", true, "a"]);
    const long = parseArgs(["--help", "--config=a"], options);
    assertEquals([long.help, long.config, long.h, long.c], [true, "a", true, "a"]);
  }
});

Deno.test("what is not given is false, empty or absent", () => {
  const args = parseArgs([], { string: ["config", "set"], boolean: ["x"], collect: ["set"] });
  assertEquals(args.x, false);
  assertEquals(args.set, []);
  assertEquals(args.config, undefined);
  assertEquals(args._, []);
});

Deno.test("the last value of a repeated option wins", () => {
  assertEquals(parseArgs(["--config=a", "--config=b"], { string: ["config"] }).config, "b");
});

Deno.test("values keep equal signs, dots and text that looks like a number", () => {
  const args = parseArgs(["--set", "a.b=c=d", "--seed", "007"], { string: ["set", "seed"] });
  assertEquals(args.set, "a.b=c=d");
  assertEquals(args.seed, "007");
});

Deno.test("a declared text option takes no value from the next option", () => {
  const args = parseArgs(["--config", "--resume"], { string: ["config"], boolean: ["resume"] });
  assertEquals(args.config, "");
  assertEquals(args.resume, true);
});

Deno.test("--no-name is false for negatable options only", () => {
  const options = { boolean: ["color", "cache"], negatable: ["color"], default: { color: true } };
  assertEquals(parseArgs(["--no-color"], options).color, false);
  assertEquals(parseArgs([], options).color, true);
  assertEquals(parseArgs(["--no-cache"], options).cache, false);
  assertEquals(parseArgs(["--no-cache"], options)["no-cache"], true);
});

Deno.test("a boolean takes true and false after an equal sign", () => {
  assertEquals(parseArgs(["--x=false"], { boolean: ["x"] }).x, false);
  assertEquals(parseArgs(["--x=true"], { boolean: ["x"] }).x, true);
  assertEquals(parseArgs(["--x", "file"], { boolean: ["x"] })._, ["file"]);
});

Deno.test("stopEarly leaves everything after the command alone", () => {
  const args = parseArgs(["--help", "train", "--config", "x", "--help"], {
    boolean: ["help"],
    stopEarly: true,
  });
  assertEquals(args.help, true);
  assertEquals(args._, ["train", "--config", "x", "--help"]);
});

Deno.test("what follows a double dash is positional", () => {
  const args = parseArgs(["--", "--config", "a"], { string: ["config"] });
  assertEquals(args._, ["--config", "a"]);
  assertEquals(args.config, undefined);
});

Deno.test("unknown sees undeclared arguments and may drop them", () => {
  const seen: [string, unknown, unknown][] = [];
  const args = parseArgs(["--lr=1", "-z", "file", "--config", "a"], {
    string: ["config"],
    unknown: (argument, key, value) => {
      seen.push([argument, key, value]);
      return false;
    },
  });
  assertEquals(seen.map((row) => row[0]), ["--lr=1", "-z", "file"]);
  assertEquals(seen.map((row) => row[1]), ["lr", "z", undefined]);
  assertEquals(args, { _: [], config: "a" });
});

Deno.test("parseArgs is exported from the package's root too", () => {
  assertEquals(cli.parseArgs(["--a=1"], { string: ["a"] }).a, "1");
});
