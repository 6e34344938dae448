/** Writes all bytes; a full disk shows as a short write first, as an error only at the next one. */
export function writeWhole(file: Pick<Deno.FsFile, "writeSync">, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const written = file.writeSync(bytes.subarray(done));
    if (!(written > 0)) throw new Error("the file system takes no more bytes");
    done += written;
  }
}
