import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ModelError } from "../../model/error.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import {
  encodeSafetensors,
  layoutSafetensors,
  SafetensorsWriter,
  type TensorSpec,
  type WritableFile,
} from "../../model/safetensors_write.ts";
import { fileTest, storiesTest } from "./temporary_folder.ts";

const specs: TensorSpec[] = [
  { name: "a", shape: [2, 3], dtype: "F32" },
  { name: 'quoted " and \u00e9', shape: [5], dtype: "BF16" },
  { name: "scalar", shape: [], dtype: "F16" },
  { name: "empty", shape: [0, 4], dtype: "F32" },
];
const data = [6, 5, 1, 0].map((n) => Float32Array.from({ length: n }, (_, i) => i - 2));
const tensors = specs.map((spec, i) => ({ ...spec, data: data[i] }));

function listFolder(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

Deno.test("the bytes of a small file are these", () => {
  const bytes = encodeSafetensors([
    { name: "w", shape: [1, 2], dtype: "F32", data: Float32Array.of(1, -2) },
  ]);
  const header = `{"__metadata__":{"format":"pt"},` +
    `"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}`;
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  assertEquals([...bytes.subarray(0, 8)], [padded.length, 0, 0, 0, 0, 0, 0, 0]);
  assertEquals(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length)), padded);
  assertEquals([...bytes.subarray(8 + padded.length)], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
});

Deno.test("what is written is read back, names, shapes, values and metadata", () => {
  const file = SafetensorsFile.fromBytes(encodeSafetensors(tensors, { made: "here" }));
  assertEquals([...file.metadata], [["made", "here"]]);
  for (const { name, shape, dtype, data } of tensors) {
    assertEquals([file.tensors.get(name)!.dtype, file.tensors.get(name)!.shape], [dtype, shape]);
    assertEquals([...file.readF32(name)], [...data]);
  }
});

Deno.test("any names and shapes survive the round trip", () => {
  const arbitrary = fc.uniqueArray(
    fc.record({
      name: fc.string({ unit: "grapheme" }).filter((name) => name !== "__metadata__"),
      shape: fc.array(fc.nat(4), { maxLength: 4 }),
      dtype: fc.constantFrom("F32", "F16", "BF16"),
    }),
    { selector: ({ name }) => name, maxLength: 6 },
  );
  fc.assert(
    fc.property(arbitrary, (list) => {
      const filled = list.map((spec) => {
        const n = spec.shape.reduce((x, y) => x * y, 1);
        return { ...spec, data: Float32Array.from({ length: n }, (_, i) => (i % 200) - 100) };
      });
      const bytes = encodeSafetensors(filled);
      const file = SafetensorsFile.fromBytes(bytes);
      assertEquals(file.tensors.size, list.length);
      for (const { name, data } of filled) assertEquals([...file.readF32(name)], [...data]);
      assertEquals(encodeSafetensors(filled), bytes);
    }),
    { seed: 1, numRuns: 200 },
  );
});

Deno.test("bad specs and data are refused", () => {
  const w = { name: "w", shape: [2], dtype: "F32" } as const;
  assertThrows(() => layoutSafetensors([w, w]), ModelError, "used twice");
  assertThrows(() => layoutSafetensors([{ ...w, name: "__metadata__" }]), ModelError, "reserved");
  for (const shape of [[-1], [0.5], [2 ** 40, 2 ** 40], [NaN]]) {
    assertThrows(() => layoutSafetensors([{ ...w, shape }]), ModelError, "bad shape");
  }
  assertThrows(() => encodeSafetensors([{ ...w, data: Float32Array.of(1) }]), ModelError, "fill");
});

Deno.test("a value too large for the stored type is refused with its index", () => {
  const w = { name: "w", shape: [3] } as const;
  const large = Float32Array.of(1, 2, 70000);
  assertThrows(
    () => encodeSafetensors([{ ...w, dtype: "F16", data: large }]),
    ModelError,
    `70000 at index 2 of tensor "w" is too large for F16`,
  );
  encodeSafetensors([{ ...w, dtype: "BF16", data: large }]);
  const huge = Float32Array.of(1, 3.4e38, 1);
  assertThrows(
    () => encodeSafetensors([{ ...w, dtype: "BF16", data: huge }]),
    ModelError,
    "index 1",
  );
  encodeSafetensors([{ ...w, dtype: "F32", data: huge }]);
});

fileTest("the streaming writer gives the bytes of the one in memory, in any order", (dir) => {
  for (const order of [[0, 1, 2, 3], [3, 1, 0, 2]]) {
    const path = `${dir}/m.safetensors`;
    {
      using writer = new SafetensorsWriter(path, specs);
      for (const i of order) writer.write(specs[i].name, data[i]);
      writer.finish();
    }
    assertEquals(Deno.readFileSync(path), encodeSafetensors(tensors));
    assertEquals(listFolder(dir), ["m.safetensors"]);
  }
});

fileTest("short writes are continued, a full disk is an error and leaves the old file", (dir) => {
  const path = `${dir}/m.safetensors`;
  Deno.writeTextFileSync(path, "old");
  let room = Infinity;
  const events: string[] = [];
  const open = (temporary: string): WritableFile => {
    const file = Deno.openSync(temporary, { write: true, create: true, truncate: true });
    return {
      seekSync: (offset, whence) => file.seekSync(offset, whence),
      writeSync(bytes) {
        const n = Math.min(bytes.length, 7, room);
        room -= n;
        return n === 0 && bytes.length > 0 ? 0 : file.writeSync(bytes.subarray(0, n));
      },
      syncSync() {
        events.push(`sync, ${Deno.readTextFileSync(path)} still there`);
        file.syncSync();
      },
      close: () => file.close(),
    };
  };
  const writeAllTensors = () => {
    using writer = new SafetensorsWriter(path, specs, { openFile: open });
    for (const { name, data } of tensors) writer.write(name, data);
    writer.finish();
  };
  const whole = encodeSafetensors(tensors);
  for (room of [0, 100, whole.length - 1]) {
    assertThrows(writeAllTensors, Error, `Cannot write ${JSON.stringify(path)}`);
    assertEquals(Deno.readTextFileSync(path), "old");
    assertEquals(listFolder(dir), ["m.safetensors"]);
  }
  assertEquals(events, []);
  room = whole.length;
  writeAllTensors();
  assertEquals(Deno.readFileSync(path), whole);
  assertEquals(events, ["sync, old still there"]);
});

fileTest("missing, unknown, repeated and misshapen tensors leave no file", (dir) => {
  const path = `${dir}/m.safetensors`;
  const refused: [(writer: SafetensorsWriter) => void, string][] = [
    [(w) => w.finish(), `tensor "a" was never written`],
    [(w) => w.write("z", data[0]), `tensor "z" is not announced`],
    [(w) => (w.write("a", data[0]), w.write("a", data[0])), `tensor "a" is written twice`],
    [(w) => w.write("a", data[1]), `tensor "a" has 5 values`],
  ];
  for (const [act, says] of refused) {
    assertThrows(
      () => {
        using writer = new SafetensorsWriter(path, specs);
        act(writer);
      },
      ModelError,
      says,
    );
    assertEquals(listFolder(dir), []);
  }
});

fileTest("a link left under the temporary name is not followed", (dir) => {
  const path = `${dir}/m.safetensors`;
  Deno.writeTextFileSync(`${dir}/victim`, "untouched");
  Deno.symlinkSync(`${dir}/victim`, `${path}.tmp`);
  using writer = new SafetensorsWriter(path, [{ name: "w", shape: [1], dtype: "F32" }]);
  writer.write("w", Float32Array.of(1));
  writer.finish();
  assertEquals(Deno.readTextFileSync(`${dir}/victim`), "untouched");
  assertEquals(Deno.lstatSync(path).isFile, true);
});

fileTest("a folder that does not exist is an error with the path", (dir) => {
  const path = `${dir}/no/m.safetensors`;
  assertThrows(() => new SafetensorsWriter(path, specs), Error, JSON.stringify(path));
});

storiesTest("the file of stories260K round-trips byte by byte", (model, dir) => {
  using source = SafetensorsFile.open(`${model}/model.safetensors`);
  assertEquals(source.tensors.size, 47);
  const list = [...source.tensors].map(([name, { shape }]) => (
    { name, shape, dtype: "F32" } as const
  ));
  using writer = new SafetensorsWriter(`${dir}/m.safetensors`, list);
  for (const { name } of list) writer.write(name, source.readF32(name));
  writer.finish();
  const [before, after] = [`${model}/model.safetensors`, `${dir}/m.safetensors`].map((path) =>
    dataPart(Deno.readFileSync(path))
  );
  assertEquals(before.length, 1_040_128);
  assertEquals(
    before.every((byte, i) => byte === after[i]) && before.length === after.length,
    true,
  );
});

function dataPart(bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  return bytes.subarray(8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)));
}
