/**
 * An append-only file of JSON lines whose length is recorded in checkpoints.
 *
 * On resume the file is cut to the recorded length, so a killed run leaves neither a doubled nor a
 * half line. Lines go out at once; `sync` makes them durable before a checkpoint refers to them.
 */
export class JsonLinesFile {
  #file: Deno.FsFile;
  #position: number;

  private constructor(readonly path: string, file: Deno.FsFile, position: number) {
    this.#file = file;
    this.#position = position;
  }

  /**
   * Opens or creates the file and cuts it to `position` bytes.
   *
   * @throws Error when the file holds fewer bytes than that: it is not the file of that checkpoint
   */
  static open(path: string, position: number): JsonLinesFile {
    const file = Deno.openSync(path, { read: true, write: true, create: true });
    const { size } = file.statSync();
    if (size < position) {
      file.close();
      throw new Error(
        `Cannot continue "${path}": the checkpoint was made when it had ${position} bytes, ` +
          `now it has ${size}; put the file back or start in a new output folder`,
      );
    }
    file.truncateSync(position);
    file.seekSync(position, Deno.SeekMode.Start);
    return new JsonLinesFile(path, file, position);
  }

  /** Bytes written so far. */
  get position(): number {
    return this.#position;
  }

  /** Writes one line. */
  append(record: Readonly<Record<string, unknown>>): void {
    const bytes = new TextEncoder().encode(JSON.stringify(record) + "\n");
    // A full disk shows as a short write first, as an error only at the next one.
    for (let done = 0; done < bytes.length;) {
      const written = this.#file.writeSync(bytes.subarray(done));
      if (!(written > 0)) throw new Error(`Cannot write "${this.path}": no more bytes are taken`);
      done += written;
    }
    this.#position += bytes.length;
  }

  sync(): void {
    this.#file.syncSync();
  }

  close(): void {
    this.#file.close();
  }
}
