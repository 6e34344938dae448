import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { closeSession, openSession } from "../../commands/session.ts";
import { parseConfig } from "../../trainer/config.ts";
import { ConfigError } from "../../trainer/error.ts";
import { messageOf, parseWith } from "./minimal.ts";

Deno.test("the sections of shadows are theirs, and read again from the written text", () => {
  const lines = "mode: dpo\nshadow: [beta_dpo, simpo, my_mode]\nbeta_dpo:\n  rho: 0.5\n" +
    "  later: 3\nsimpo:\n  gamma: 1\nmy_mode:\n  a: 2\nbco:\n  beta: 1\n";
  const parsed = parseWith(lines);
  const { config } = parsed;
  assertEquals<unknown>(config.shadow, ["beta_dpo", "simpo", "my_mode"]);
  assertEquals<unknown>([config.beta_dpo, config.simpo, config.my_mode], [
    { rho: 0.5, later: 3 },
    { gamma: 1 },
    { a: 2 },
  ]);
  assertEquals(parsed.notices, ['Section "bco" is not read: the mode is "dpo"']);
  assertEquals(parseConfig(parsed.text, { file: "x.yaml" }).config, config);
});

Deno.test("one name needs no brackets, and an empty one switches shadows off", () => {
  assertEquals<unknown>(parseWith("shadow: ipo\n").config.shadow, "ipo");
  assertEquals(parseWith("shadow: [risk]\n", ["shadow="]).config.shadow, undefined);
});

const REFUSED: readonly (readonly [string, string])[] = [
  ["shadow: [ipo, ipo]", "expected each name once"],
  ["shadow: []", "expected names of modes and pair losses"],
  ["shadow: [../x]", "expected"],
  ["shadow: 3", "expected"],
  ["shadow: [dataset]\ndatset: {}", 'did you mean "dataset"'],
  ["shadow: [hinge]\nhinge: {}", 'key "hinge": unknown key'],
];
for (const [lines, text] of REFUSED) {
  Deno.test(`${JSON.stringify(lines)} is refused`, () => {
    assertStringIncludes(messageOf(() => parseWith(lines)), text);
  });
}

const canRead = (await Deno.permissions.query({ name: "read" })).state === "granted" &&
  (await Deno.permissions.query({ name: "env" })).state === "granted";

function open(...overrides: string[]) {
  const config = "config_dpo_beta.yaml";
  return openSession({ config, overrides, events: { accept: () => {} } });
}

Deno.test({
  name: "a session opens shadows with the options of their own places (needs files)",
  ignore: !canRead,
  async fn() {
    const session = await open(
      "shadow=[risk, ipo, beta_dpo]",
      "risk_test.delta=0.3",
      "risk.alpha=0.25",
      "ipo_reduction=sum",
    );
    closeSession(session);
    const [risk, ipo, betaDpo] = session.shadows;
    assertEquals([risk.mode?.name, risk.options.delta, risk.options.alpha], ["risk", 0.3, 0.25]);
    assertEquals([ipo.mode, ipo.lossTypes[0].type, ipo.lossTypes[0].options.reduction], [
      undefined,
      "ipo",
      "sum",
    ]);
    assertEquals(betaDpo.options, session.modeOptions);
  },
});

const UNFIT: readonly (readonly [readonly string[], string])[] = [
  [["shadow=[risk, sft]"], 'key "shadow": cannot run the shadow "sft": it needs rows of the kind'],
  [["shadow=[ipoo]"], 'key "shadow": Unknown mode "ipoo"'],
  [["shadow=[ipoo]"], "pair losses are sigmoid, "],
  [["shadow=[risk]", "risk.alpa=1"], 'key "risk.alpa": Unknown option "risk.alpa"'],
];
for (const [overrides, text] of UNFIT) {
  Deno.test({
    name: `${overrides.join(" ")}: refused before anything is loaded (needs files)`,
    ignore: !canRead,
    async fn() {
      const error = await open(...overrides).then(closeSession, (error) => error);
      assertInstanceOf(error, ConfigError);
      assertStringIncludes(error.message, text);
    },
  });
}
