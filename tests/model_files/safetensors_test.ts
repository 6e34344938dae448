import { assertEquals, assertInstanceOf, assertStringIncludes, assertThrows } from "@std/assert";
import { ModelError } from "../../model/error.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import { openSafetensorsFolder } from "../../model/safetensors_folder.ts";
import { encodeSafetensors } from "../../model/safetensors_write.ts";
import {
  buildFile,
  CASES,
  LEGAL,
  type SafetensorsCase,
  STRICTER,
} from "./malformed_safetensors.ts";
import { fileTest, writeFiles } from "./temporary_folder.ts";

function verdict(bytes: Uint8Array): string {
  try {
    SafetensorsFile.fromBytes(bytes, "some.safetensors").close();
    return "read";
  } catch (error) {
    assertInstanceOf(error, ModelError);
    return error.message;
  }
}

function checkCase({ name, bytes, legal, says }: SafetensorsCase): void {
  const result = verdict(bytes);
  if (legal) assertEquals(result, "read", name);
  else {
    assertStringIncludes(result, `"some.safetensors"`, name);
    assertStringIncludes(result, says!, name);
  }
}

Deno.test("of the 26 odd files 25 are refused with the file named, 1 is read", () => {
  assertEquals([CASES.filter((c) => !c.legal).length, CASES.length], [25, 26]);
  for (const one of CASES) checkCase(one);
});

Deno.test("legal oddities are read, ambiguities are refused", () => {
  for (const one of [...LEGAL, ...STRICTER]) checkCase(one);
});

Deno.test("a tensor problem names the tensor", () => {
  const message = verdict(
    buildFile(`{"model.norm.weight":{"dtype":"X","shape":[1],"data_offsets":[0,4]}}`, 4),
  );
  assertStringIncludes(message, `tensor "model.norm.weight"`);
});

Deno.test("a tensor named __proto__ has its values", () => {
  const bytes = CASES.find((c) => c.legal)!.bytes.slice();
  new DataView(bytes.buffer).setFloat32(bytes.length - 4, 1.5, true);
  const file = SafetensorsFile.fromBytes(bytes);
  assertEquals([...file.tensors.keys()], ["__proto__"]);
  assertEquals([...file.readF32("__proto__")], [1.5]);
});

function smallFile(): Uint8Array<ArrayBuffer> {
  return encodeSafetensors([
    { name: "model.norm.weight", shape: [3], dtype: "F32", data: Float32Array.of(1, -2, 0.5) },
    { name: "b", shape: [2, 2], dtype: "BF16", data: Float32Array.of(1, 2, 3, 4) },
    { name: "scalar", shape: [], dtype: "F16", data: Float32Array.of(-0.25) },
  ]);
}

Deno.test("every truncation of a file is refused, and every added byte", () => {
  const bytes = smallFile();
  for (let length = 0; length < bytes.length; length++) {
    const result = verdict(bytes.subarray(0, length));
    assertStringIncludes(result, "Cannot read", `${length} of ${bytes.length} bytes`);
    // Found by comparing sizes, not by running into the end of the file.
    assertEquals(result.includes("it ended at"), false, `${length} of ${bytes.length} bytes`);
  }
  assertEquals(verdict(bytes), "read");
  assertStringIncludes(verdict(Uint8Array.of(...bytes, 0)), "the file has");
});

Deno.test("every flipped byte of length and header gives our error or a consistent file", () => {
  const bytes = smallFile();
  const end = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  let refused = 0;
  for (let i = 0; i < end; i++) {
    for (const flip of [0x01, 0x20, 0x80]) {
      const damaged = bytes.slice();
      damaged[i] ^= flip;
      const result = verdict(damaged); // throws unless it is a ModelError
      if (result !== "read") refused++;
    }
  }
  // A changed letter of a name or of the metadata is still a legal file.
  assertEquals(refused > end * 2, true, `${refused} of ${end * 3} refused`);
});

Deno.test("header lengths at the edges are refused", () => {
  const bytes = smallFile();
  const right = new DataView(bytes.buffer).getBigUint64(0, true);
  const wrong = [0n, 1n, right - 1n, right + 1n, 2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
  for (const length of wrong) {
    const damaged = bytes.slice();
    new DataView(damaged.buffer).setBigUint64(0, length, true);
    assertStringIncludes(verdict(damaged), "Cannot read", String(length));
  }
});

Deno.test("large headers are read or refused: 10 MB of blanks, 100,000 tensors, deep nesting", () => {
  assertEquals(verdict(buildFile(`{${" ".repeat(10_000_000)}}`)), "read");
  const entries = Array.from(
    { length: 100_000 },
    (_, i) => `"t${i}":{"dtype":"F32","shape":[1],"data_offsets":[${4 * i},${4 * i + 4}]}`,
  );
  assertEquals(verdict(buildFile(`{${entries}}`, 400_000)), "read");
  const overlap = entries.map((text) => text.replace(/\[\d+,\d+\]/, "[0,4]"));
  assertStringIncludes(verdict(buildFile(`{${overlap}}`, 400_000)), "begins at byte 0");
  assertStringIncludes(verdict(buildFile("[".repeat(1_000_000))), "JSON");
  assertStringIncludes(
    verdict(buildFile("[".repeat(100_000) + "]".repeat(100_000))),
    "JSON object",
  );
});

Deno.test("rows are read alone, in every float type", () => {
  const data = Float32Array.from({ length: 12 }, (_, i) => i - 5);
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    const file = SafetensorsFile.fromBytes(
      encodeSafetensors([
        { name: "before", shape: [1], dtype, data: Float32Array.of(9) },
        { name: "w", shape: [4, 3], dtype, data },
      ]),
    );
    assertEquals([...file.readF32("w")], [...data]);
    assertEquals([...file.readF32("w", 1, 3)], [...data.subarray(3, 9)]);
    assertEquals(file.readF32("w", 4).length, 0);
    for (const [from, to] of [[0, 5], [-1, 2], [3, 2], [0.5, 2]]) {
      assertThrows(() => file.readF32("w", from, to), ModelError, `tensor "w"`);
    }
    assertThrows(() => file.readF32("v"), ModelError, "no such tensor");
  }
});

Deno.test("float64 is rounded to float32, integers are refused as weights", () => {
  const header = `{"d":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},` +
    `"i":{"dtype":"I64","shape":[1],"data_offsets":[16,24]}}`;
  const bytes = buildFile(header, 24);
  const view = new DataView(bytes.buffer, 8 + header.length);
  view.setFloat64(0, 0.1, true);
  view.setFloat64(8, 1 + 2 ** -24, true); // a tie: the even neighbour is 1
  const file = SafetensorsFile.fromBytes(bytes);
  assertEquals([...file.readF32("d")], [Math.fround(0.1), 1]);
  assertThrows(() => file.readF32("i"), ModelError, "I64");
});

fileTest("conversion by chunks equals conversion at once", (dir) => {
  // 5 Mi elements of 2 bytes: more than one chunk of 8 MiB.
  const data = new Float32Array(5 * 2 ** 20 + 3).map((_, i) => (i % 509) - 254);
  const path = `${dir}/m.safetensors`;
  Deno.writeFileSync(
    path,
    encodeSafetensors([{ name: "w", shape: [data.length], dtype: "BF16", data }]),
  );
  using file = SafetensorsFile.open(path);
  const back = file.readF32("w");
  assertEquals(back.findIndex((x, i) => x !== data[i]), -1);
});

fileTest("a file cut after opening is an error, not zeros", (dir) => {
  const path = `${dir}/m.safetensors`;
  Deno.writeFileSync(path, smallFile());
  using file = SafetensorsFile.open(path);
  Deno.truncateSync(path, smallFile().length - 2);
  assertEquals([...file.readF32("b")], [1, 2, 3, 4]);
  assertThrows(() => file.readF32("scalar"), ModelError, "changed since it was opened");
});

fileTest("missing files, folders and no weights are ModelErrors with the path", (dir) => {
  assertThrows(() => SafetensorsFile.open(`${dir}/x.safetensors`), ModelError, "does not exist");
  assertThrows(() => SafetensorsFile.open(dir), ModelError, "not a file");
  assertThrows(() => openSafetensorsFolder(dir), ModelError, "neither model.safetensors nor");
  writeFiles(dir, { "pytorch_model.bin": "x" });
  assertThrows(() => openSafetensorsFolder(dir), ModelError, "convert pytorch_model.bin");
});

function oneTensor(name: string, value: number): Uint8Array {
  return encodeSafetensors([
    { name, shape: [1], dtype: "F32", data: Float32Array.of(value) },
  ]);
}

function index(weightMap: unknown): string {
  return JSON.stringify({ metadata: {}, weight_map: weightMap });
}

fileTest("shards with an index are read as one model", (dir) => {
  writeFiles(dir, {
    "model-1.safetensors": oneTensor("a", 1),
    "model-2.safetensors": oneTensor("b", 2),
    "model.safetensors.index.json": index({ a: "model-1.safetensors", b: "model-2.safetensors" }),
  });
  const store = openSafetensorsFolder(dir);
  assertEquals([...store.tensors.keys()], ["a", "b"]);
  assertEquals([store.readF32("a")[0], store.readF32("b")[0]], [1, 2]);
  assertEquals(store.fileOf("b"), `${dir}/model-2.safetensors`);
  assertThrows(() => store.readF32("c"), ModelError, `no tensor "c"`);
  store.close();
});

fileTest("an index that does not agree with the shards is refused", (dir) => {
  writeFiles(dir, {
    "model-1.safetensors": oneTensor("a", 1),
    "model-2.safetensors": oneTensor("a", 2),
    "model-3.safetensors": oneTensor("b", 2),
  });
  const refused: [unknown, string][] = [
    [{ a: "model-9.safetensors" }, `model-9.safetensors": it does not exist`],
    [{ a: "model-1.safetensors", c: "model-3.safetensors" }, `tensor "c" is missing`],
    [{ a: "model-1.safetensors", b: "model-2.safetensors" }, `tensor "b" is missing`],
    [{ a: "../model-1.safetensors" }, "not the name of a .safetensors file"],
    [{ a: "..\\model-1.safetensors" }, "not the name of a .safetensors file"],
    [{ a: "/etc/passwd" }, "not the name of a .safetensors file"],
    [{ a: "model-1.safetensors\0" }, "not the name of a .safetensors file"],
    [{ a: 1 }, "not the name of a .safetensors file"],
    [{}, "weight_map"],
    [["a"], "weight_map"],
    [undefined, "weight_map"],
  ];
  for (const [map, says] of refused) {
    writeFiles(dir, { "model.safetensors.index.json": index(map) });
    assertThrows(() => openSafetensorsFolder(dir), ModelError, says);
  }
});

fileTest("a tensor in two shards is refused", (dir) => {
  const both = encodeSafetensors(["a", "b"].map((name) => (
    { name, shape: [1], dtype: "F32", data: Float32Array.of(3) } as const
  )));
  writeFiles(dir, {
    "model-1.safetensors": oneTensor("a", 1),
    "model-2.safetensors": both,
    "model.safetensors.index.json": index({ a: "model-1.safetensors", b: "model-2.safetensors" }),
  });
  assertThrows(() => openSafetensorsFolder(dir), ModelError, `tensor "a" is in`);
});
