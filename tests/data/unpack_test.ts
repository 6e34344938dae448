import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { openBytes } from "../../data/byte_source.ts";
import { decompress, packingOf, TooLarge } from "../../data/decompress.ts";
import { DataError } from "../../data/error.ts";
import { openUnpacked } from "../../data/unpack.ts";

const LINES = Array.from({ length: 20_000 }, (_, i) => `{"i":${i * 7919 % 10007}}\n`).join("");
const PLAIN = new TextEncoder().encode(LINES);
const checked = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };
const pack = { gzip: gzipSync, zstd: (bytes: Uint8Array) => zstdCompressSync(bytes, checked) };
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
/** A frame that decoders pass over. */
const SKIPPED = Uint8Array.of(0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9);

for (const packing of ["gzip", "zstd"] as const) {
  Deno.test(`decompress() reads ${packing} of one part or several, and finds every cut`, () => {
    const one = pack[packing](PLAIN);
    const open = (bytes: Uint8Array) => openBytes({ name: "rows.jsonl", bytes });
    assertEquals(packingOf(one), packing);
    const whole = open(
      join(pack[packing](PLAIN.subarray(0, 999)), pack[packing](PLAIN.subarray(999))),
    );
    assertEquals(whole.size, PLAIN.length);
    assertEquals(new TextDecoder().decode(whole.read(0, PLAIN.length)), LINES);
    const bad = [
      one.subarray(0, one.length - 1),
      one.subarray(0, one.length >> 1),
      one.subarray(0, 5),
    ];
    for (const at of [200, one.length >> 1, one.length - 2]) {
      const changed = one.slice();
      changed[at] ^= 8;
      bad.push(changed);
    }
    for (const bytes of bad) {
      assertThrows(() => open(bytes), DataError, `rows.jsonl": the ${packing} data is broken`);
    }
    assertThrows(() => decompress("rows", one, packing, 1000), TooLarge, "more than 1000 bytes");
  });
}

Deno.test("decompress() passes over frames that hold no data, and refuses what is no frame", () => {
  const bytes = join(SKIPPED, pack.zstd(PLAIN.subarray(0, 100)), SKIPPED);
  assertEquals([...decompress("x", bytes, "zstd")], [...PLAIN.subarray(0, 100)]);
  const junk = join(bytes, Uint8Array.of(1, 2, 3, 4));
  assertThrows(() => decompress("x", junk, "zstd"), DataError, "no frame at byte");
});

const permissions = await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
);
Deno.test({
  name: "openUnpacked() writes what is large to the cache folder once, whole or not at all " +
    "(ignored without read and write permission)",
  ignore: permissions.some(({ state }) => state !== "granted"),
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const cache = `${folder}/cache`;
    const copies = () => [...Deno.readDirSync(`${cache}/unpacked`)].map(({ name }) => name);
    try {
      for (const packing of ["gzip", "zstd"] as const) {
        const path = `${folder}/rows.${packing}`;
        const packed = pack[packing](PLAIN);
        Deno.writeFileSync(path, join(packed, packed));
        const before = packing === "gzip" ? 0 : copies().length;
        // Large when packed, and large only when it is decompressed.
        for (const memoryBytes of [1000, packed.length * 2, 1000]) {
          const bytes = await openUnpacked({ path }, { cacheFolder: cache, memoryBytes });
          assertEquals([bytes.name, bytes.size], [path, 2 * PLAIN.length]);
          assertEquals(bytes.read(PLAIN.length, PLAIN.length), PLAIN);
          bytes.close();
        }
        assertEquals(copies().length, before + 1);
        Deno.writeFileSync(path, packed.subarray(0, packed.length - 2));
        await assertRejects(
          () => openUnpacked({ path }, { cacheFolder: cache, memoryBytes: 1000 }),
          DataError,
          `the ${packing} data is broken`,
        );
        assertEquals(copies().filter((name) => name.endsWith("partial")), []);
        const small = await openUnpacked({ path: `${folder}/rows.${packing}` }, {}).catch((e) => e);
        assertEquals(small instanceof DataError, true);
      }
      Deno.writeTextFileSync(`${folder}/file`, "");
      await Deno.writeFile(`${folder}/a.gz`, pack.gzip(PLAIN));
      await assertRejects(
        () =>
          openUnpacked({ path: `${folder}/a.gz` }, {
            cacheFolder: `${folder}/file`,
            memoryBytes: 9,
          }),
        DataError,
        "make room there",
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
