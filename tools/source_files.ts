/** Folders that hold no sources of the project. */
const SKIPPED = new Set(["node_modules", "runs", "coverage", "vendor"]);

/**
 * Paths of all files under a folder, relative to it, with forward slashes, sorted. Hidden files and
 * folders, what a run wrote and what package managers wrote are left out.
 */
export function listFiles(root: string): string[] {
  const found: string[] = [];
  const visit = (folder: string) => {
    for (const entry of Deno.readDirSync(`${root}/${folder}`)) {
      if (entry.name.startsWith(".") || SKIPPED.has(entry.name)) continue;
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory) visit(path);
      else if (entry.isFile) found.push(path);
    }
  };
  visit("");
  return found.sort();
}

/** Every file under a folder that `wanted` accepts, with its text. */
export function readFiles(root: string, wanted: (path: string) => boolean): Map<string, string> {
  const files = new Map<string, string>();
  for (const path of listFiles(root)) {
    if (wanted(path)) files.set(path, Deno.readTextFileSync(`${root}/${path}`));
  }
  return files;
}
