// Help texts and wrong usage of the command line.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { MAY_RUN, NEEDS, program } from "./program.ts";

Deno.test({
  name: `every command has a help text, and wrong usage ends with code 2 ${NEEDS}`,
  ignore: !MAY_RUN,
  async fn() {
    for (const command of ["train", "eval", "doctor", "modes"]) {
      const { code, stdout } = await program([command, "--help"]);
      assertEquals(code, 0);
      assertStringIncludes(stdout, `deno task ${command}`);
    }
    const general = await program(["--help"]);
    assertEquals([general.code, general.stdout.includes("train")], [0, true]);
    const wrong: [string[], string][] = [
      [[], "Commands"],
      [["trian"], 'Unknown command "trian"'],
      [["train"], "--config"],
      [["train", "--config", "none.yaml"], '"none.yaml"'],
      [["eval", "--config"], "--config"],
      [["doctor"], "--config"],
      [["doctor", "--config", "none.yaml"], '"none.yaml"'],
    ];
    for (const [args, text] of wrong) {
      const { code, stdout, stderr } = await program(args);
      assertEquals(code, 2, stderr);
      assertStringIncludes(stdout + stderr, text);
    }
  },
});
