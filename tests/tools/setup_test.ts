import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { advice, distributions, ensureAdapter } from "../../tools/setup.ts";
import type { Host } from "../../tools/setup.ts";

const DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n';
const UBUNTU = 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n';
const FEDORA = "ID=fedora\n";

interface Recorded {
  code: number;
  ran: string[];
  said: string[];
  probes: number;
}

/** Runs the set-up on a made-up machine; `adapters` are the answers of the probes, one after another. */
async function simulate(
  adapters: boolean[],
  changes: Partial<Host> & { codes?: number[] } = {},
): Promise<Recorded> {
  const record: Recorded = { code: -1, ran: [], said: [], probes: 0 };
  const codes = [...(changes.codes ?? [])];
  record.code = await ensureAdapter({
    os: "linux",
    osRelease: DEBIAN,
    isRoot: true,
    hasAdapter: () => Promise.resolve(adapters[record.probes++]),
    run: (command) => {
      record.ran.push(command.join(" "));
      return Promise.resolve(codes.shift() ?? 0);
    },
    say: (line) => record.said.push(line),
    ...changes,
  });
  return record;
}

Deno.test("set-up says and does nothing where there is an adapter", async () => {
  assertEquals(await simulate([true]), { code: 0, ran: [], said: [], probes: 1 });
});

Deno.test("set-up installs software Vulkan on Debian and Ubuntu as root, and shows the commands", async () => {
  for (const osRelease of [DEBIAN, UBUNTU]) {
    const done = await simulate([false, true], { osRelease });
    assertEquals(done.code, 0);
    assertEquals(done.ran, [
      "apt-get update",
      "apt-get install -y libvulkan1 mesa-vulkan-drivers",
    ]);
    assertEquals(done.said.slice(1), done.ran.map((command) => `$ ${command}`));
  }
});

Deno.test("set-up gives up with 3 when an install command fails", async () => {
  const done = await simulate([false], { codes: [0, 100] });
  assertEquals(done.code, 3);
  assertEquals(done.probes, 1);
  assertMatch(done.said.at(-1)!, /install -y .* failed with code 100/);
  const missing = await simulate([false], { codes: [127] });
  assertEquals(missing.code, 3);
  assertEquals(missing.ran.length, 1);
});

Deno.test("set-up gives up with 3 when there is still no adapter after the installation", async () => {
  const done = await simulate([false, false]);
  assertEquals(done.code, 3);
  assertEquals(done.probes, 2);
  assertMatch(done.said.at(-1)!, /still no WebGPU adapter/);
});

Deno.test("elsewhere set-up runs nothing and says in one line what to install", async () => {
  const cases: [Partial<Host>, string][] = [
    [{ isRoot: false }, "sudo apt-get install -y libvulkan1 mesa-vulkan-drivers"],
    [{ osRelease: FEDORA }, "dnf install"],
    [{ osRelease: "" }, "Vulkan"],
    [{ os: "darwin", osRelease: "" }, "Metal"],
    [{ os: "windows", osRelease: "" }, "driver"],
  ];
  for (const [changes, expected] of cases) {
    const done = await simulate([false], changes);
    assertEquals([done.code, done.ran, done.said.length], [3, [], 1]);
    assertStringIncludes(done.said[0], expected);
    assertEquals(done.said[0].includes("\n"), false);
  }
});

Deno.test("distributions reads quoted and plain values", () => {
  assertEquals(distributions('ID="linuxmint"\nID_LIKE="ubuntu debian"\n'), [
    "linuxmint",
    "ubuntu",
    "debian",
  ]);
  assertEquals(distributions("VERSION_ID=12\n"), []);
});

Deno.test("advice names the package manager of the distribution", () => {
  assertStringIncludes(advice("linux", ["arch"]), "pacman");
  assertStringIncludes(advice("linux", ["opensuse-leap", "suse", "opensuse"]), "zypper");
});

const permissions = [
  { name: "run" },
  { name: "env" },
  { name: "sys", kind: "uid" },
  { name: "read" },
] as const;
const states = await Promise.all(permissions.map((one) => Deno.permissions.query(one)));

Deno.test({
  name: "the real probe counts no driver and OpenGL as none (needs run permission, Linux)",
  ignore: Deno.build.os !== "linux" || states.some(({ state }) => state !== "granted"),
  fn: async () => {
    const file = new URL("../../tools/setup.ts", import.meta.url).href;
    const machines: Record<string, string>[] = [
      { DENO_WEBGPU_BACKEND: "vulkan", VK_DRIVER_FILES: "/nonexistent" },
      { DENO_WEBGPU_BACKEND: "gl" },
    ];
    for (const env of machines) {
      const args = ["run", "--no-lock", file, "--probe"];
      const { code } = await new Deno.Command(Deno.execPath(), { args, env }).output();
      assertEquals(code, 3, Deno.inspect(env));
    }
  },
});
