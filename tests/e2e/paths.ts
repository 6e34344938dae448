/** The path of a file URL, without a dependency. */
export function fromFileUrl(url: URL): string {
  const path = decodeURIComponent(url.pathname);
  return (Deno.build.os === "windows" ? path.slice(1) : path).replace(/\/$/, "");
}

/** A file of the folder beside the project that development machines have, if it is there. */
export function sharedFile(root: string, name: string): string | undefined {
  const path = `${root}/../shared/${name}`;
  try {
    Deno.statSync(path);
    return path;
  } catch {
    return undefined;
  }
}
