/**
 * Runs before the program, as a process of its own: makes sure that there is a WebGPU adapter. Where
 * none exists, on Debian or Ubuntu as root, it installs software Vulkan and looks again; anywhere else
 * it says in one line what to install and exits with 3. An OpenGL adapter counts as none.
 *
 * A process of its own because Deno looks for drivers once: what is installed while it runs is not seen.
 *
 * @module
 */
import { isOpenGl } from "../gpu/device.ts";

const PACKAGES = ["libvulkan1", "mesa-vulkan-drivers"];

const INSTALL_COMMANDS: readonly (readonly string[])[] = [
  ["apt-get", "update"],
  ["apt-get", "install", "-y", ...PACKAGES],
];

/** What decides on the set-up; faked in tests. */
export interface Host {
  readonly os: typeof Deno.build.os;
  /** Text of `/etc/os-release`, empty where there is none. */
  readonly osRelease: string;
  readonly isRoot: boolean;
  /** Looks for an adapter in a fresh process. */
  hasAdapter(): Promise<boolean>;
  /** Runs a command with its output shown; its exit code, or 127 when it is not there. */
  run(command: readonly string[]): Promise<number>;
  say(line: string): void;
}

/** `ID` and `ID_LIKE` of an os-release file: the distribution, then what it descends from. */
export function distributions(osRelease: string): string[] {
  const found: string[] = [];
  for (const key of ["ID", "ID_LIKE"]) {
    const value = osRelease.match(new RegExp(`^${key}=(.*)$`, "m"))?.[1] ?? "";
    found.push(...value.replace(/["']/g, "").split(/\s+/).filter((word) => word !== ""));
  }
  return found;
}

/** What a user can do where the set-up cannot: half a sentence without a full stop. */
export function advice(os: Host["os"], distribution: readonly string[]): string {
  if (os === "darwin") return "use a Mac with Metal, on macOS 11 or newer";
  if (os === "windows") return "install your graphics card's current driver (DirectX 12 or Vulkan)";
  const is = (name: string) => distribution.includes(name);
  let command = "the packages of your distribution for the Vulkan loader and Mesa's Vulkan drivers";
  if (is("debian") || is("ubuntu")) command = `sudo apt-get install -y ${PACKAGES.join(" ")}`;
  else if (is("fedora") || is("rhel")) {
    command = "sudo dnf install vulkan-loader mesa-vulkan-drivers";
  } else if (is("arch")) command = "sudo pacman -S vulkan-icd-loader vulkan-swrast";
  else if (is("suse") || is("opensuse")) {
    command = "sudo zypper install libvulkan1 libvulkan_lvp";
  }
  return `install your GPU's Vulkan driver or software Vulkan: ${command}`;
}

/** Sees to it that there is an adapter. Returns the exit code: 0, or 3 when there is none. */
export async function ensureAdapter(host: Host): Promise<0 | 3> {
  if (await host.hasAdapter()) return 0;
  const distribution = distributions(host.osRelease);
  const hasApt = distribution.includes("debian") || distribution.includes("ubuntu");
  const help = advice(host.os, distribution);
  if (host.os !== "linux" || !hasApt || !host.isRoot) {
    host.say(`No WebGPU adapter was found; ${help}`);
    return 3;
  }
  host.say("No WebGPU adapter was found; installing software Vulkan");
  for (const command of INSTALL_COMMANDS) {
    host.say(`$ ${command.join(" ")}`);
    const code = await host.run(command);
    if (code !== 0) {
      host.say(`"${command.join(" ")}" failed with code ${code}; ${help}`);
      return 3;
    }
  }
  if (await host.hasAdapter()) return 0;
  host.say(`Software Vulkan is installed, but there is still no WebGPU adapter; ${help}`);
  return 3;
}

async function probe(): Promise<boolean> {
  const adapter = await navigator.gpu?.requestAdapter();
  return adapter !== null && adapter !== undefined && !isOpenGl(adapter);
}

/** Runs this file with `--probe`. On Linux only Vulkan is looked at, so that OpenGL is never opened. */
async function probeInChild(): Promise<boolean> {
  const env: Record<string, string> = {};
  if (Deno.build.os === "linux") {
    env.DENO_WEBGPU_BACKEND = "vulkan";
    // Software Vulkan prints an error where this is not set; it needs nothing from the folder.
    env.XDG_RUNTIME_DIR = Deno.env.get("XDG_RUNTIME_DIR") ?? "/tmp";
  }
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-lock", import.meta.url, "--probe"],
    env,
    stdout: "null",
    stderr: "piped",
  });
  const { code, stderr } = await child.output();
  // 0 and 3 are the probe's own answers; a driver that crashes counts as none, but says why.
  if (code !== 0 && code !== 3) await Deno.stderr.write(stderr);
  return code === 0;
}

async function runShown(command: readonly string[]): Promise<number> {
  try {
    const child = new Deno.Command(command[0], {
      args: command.slice(1),
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    });
    return (await child.output()).code;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 127;
    throw error;
  }
}

function readOsRelease(): string {
  try {
    return Deno.readTextFileSync("/etc/os-release");
  } catch {
    return "";
  }
}

if (import.meta.main) {
  if (Deno.args.includes("--probe")) Deno.exit(await probe() ? 0 : 3);
  Deno.exit(
    await ensureAdapter({
      os: Deno.build.os,
      osRelease: Deno.build.os === "linux" ? readOsRelease() : "",
      isRoot: Deno.build.os === "linux" && Deno.uid() === 0,
      hasAdapter: probeInChild,
      run: runShown,
      say: (line) => console.error(line),
    }),
  );
}
