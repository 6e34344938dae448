/** Tests with files: each gets a fresh folder, and is ignored where files are not permitted. */

const granted = (await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");

/** Registers a test that needs a temporary folder. */
export function fileTest(name: string, test: (dir: string) => void | Promise<void>): void {
  Deno.test({
    name: granted ? name : `${name} (ignored: needs --allow-read and --allow-write)`,
    ignore: !granted,
    async fn() {
      const dir = Deno.makeTempDirSync();
      try {
        await test(dir);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  });
}

/** Writes files by name into `dir`. */
export function writeFiles(dir: string, files: Record<string, string | Uint8Array>): void {
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === "string") Deno.writeTextFileSync(`${dir}/${name}`, content);
    else Deno.writeFileSync(`${dir}/${name}`, content);
  }
}

const shared = new URL("../../../shared/models/stories260K-hf", import.meta.url);

/** Registers a test that needs the real model beside the project. */
export function storiesTest(
  name: string,
  test: (modelDir: string, dir: string) => void | Promise<void>,
): void {
  const model = decodeURIComponent(shared.pathname);
  if (granted && isFolder(model)) fileTest(name, (dir) => test(model, dir));
  else {
    const reason = granted ? "../shared is not there" : "needs --allow-read and --allow-write";
    Deno.test({ name: `${name} (ignored: ${reason})`, ignore: true, fn() {} });
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
