import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { DType } from "./dtype.ts";
import { openSafetensors } from "./safetensors_file.ts";
import {
  planSafetensors,
  planShards,
  writeSafetensors,
  writeSafetensorsSharded,
} from "./safetensors_writer.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import {
  readAll,
  type TensorData,
  type TensorSource,
  tensorSourceFromMap,
} from "./tensor_source.ts";

const tensor = (
  dtype: DType,
  shape: number[],
  values: ArrayBufferView<ArrayBuffer>,
): TensorData => ({
  dtype,
  shape,
  data: new Uint8Array(values.buffer),
});
const bytes = (count: number, fill = 0): TensorData =>
  tensor("uint8", [count], new Uint8Array(count).fill(fill));

/** Every dtype, names outside ASCII and the basic plane, a number as a name, no elements, a scalar. */
const zoo = tensorSourceFromMap(
  new Map([
    ["b.bias", tensor("float32", [3], Float32Array.of(1, -2, 0.5))],
    ["a.weight", tensor("bfloat16", [2, 2], Uint16Array.of(0x3f80, 0x4000, 0x4040, 0x4080))],
    ["ids", tensor("int64", [2], BigInt64Array.of(1n, -1n))],
    ["mask", tensor("bool", [3], Uint8Array.of(1, 0, 1))],
    ["scalar", tensor("int32", [], Int32Array.of(7))],
    ["half", tensor("float16", [2], Uint16Array.of(0x3800, 0x7bff))],
    ["double", tensor("float64", [1], Float64Array.of(0.1))],
    ["none", tensor("float32", [0, 3], new Float32Array(0))],
    ["u8", tensor("uint8", [1], Uint8Array.of(255))],
    ["i8", tensor("int8", [1], Int8Array.of(-1))],
    ["i16", tensor("int16", [1], Int16Array.of(-2))],
    ["\ufb01", tensor("float32", [1], Float32Array.of(1))],
    ["😀", tensor("float32", [1], Float32Array.of(2))],
    ["10", tensor("float32", [1], Float32Array.of(3))],
  ]),
);

Deno.test("the bytes are those that Python's safetensors writes", async () => {
  // >>> b = safetensors.torch.save({"b.bias": torch.tensor([1., -2., .5]), … as above}, {"format": "pt"})
  // >>> len(b), hashlib.sha256(b).hexdigest()  # safetensors 0.8.0
  await using folder = await tempFolder();
  const dir = folder.path;
  const written = await writeSafetensors(`${dir}/zoo.safetensors`, zoo);
  assert.deepEqual(written, {
    bytes: 927,
    sha256: "5f9e94709b30bad7322745803b5c32f7e484188995003d302f00aec2fb31dcbb",
  });
  const onDisk = await Deno.readFile(`${dir}/zoo.safetensors`);
  assert.equal(createHash("sha256").update(onDisk).digest("hex"), written.sha256);
});

Deno.test("what is written is read back, whatever the chunks", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  for (const chunkBytes of [1, 3, 16, 1 << 20]) {
    const path = `${dir}/zoo.safetensors`;
    const progress: number[] = [];
    const onBytes = (written: number) => progress.push(written);
    const written = await writeSafetensors(path, zoo, { chunkBytes, onBytes });
    assert.equal(written.sha256.slice(0, 8), "5f9e9470");
    assert.equal(progress.at(-1), written.bytes);
    assert.deepEqual(progress, progress.toSorted((a, b) => a - b));
    await using file = await openSafetensors(path);
    assert.deepEqual(file.names().toSorted(), zoo.names().toSorted());
    for (const name of zoo.names()) {
      assert.deepEqual(file.info(name), zoo.info(name));
      assert.deepEqual(await readAll(file, name), await readAll(zoo, name));
    }
  }
});

Deno.test("tensors of one dtype lie in the order of their names' bytes, however they are given", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/order.safetensors`;
  const names = ["w", "w.", "w.a", "w.ab", "w.b", "W", "é", "\ufb01", "😀", "😀b"];
  const utf8 = (name: string): Uint8Array => new TextEncoder().encode(name);
  const expected = [...names].sort((a, b) => Buffer.compare(utf8(a), utf8(b)));
  for (let first = 0; first < names.length; first += 3) {
    const given = [...names.slice(first), ...names.slice(0, first)];
    for (const order of [given, [...given].reverse()]) {
      await writeSafetensors(
        path,
        tensorSourceFromMap(new Map(order.map((each) => [each, bytes(1)]))),
      );
      const file = await Deno.readFile(path);
      const length = Number(new DataView(file.buffer).getBigUint64(0, true));
      const header = new TextDecoder().decode(file.subarray(8, 8 + length));
      const found = Array.from(header.matchAll(/"([^"]+)":\{"dtype"/g), ([, name]) => name);
      assert.deepEqual(found, expected, order.join());
    }
  }
});

Deno.test("names choose tensors and metadata replaces the default", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const path = `${dir}/a.safetensors`;
  await writeSafetensors(path, zoo, { names: ["u8", "ids"], metadata: { "10": 'q"\n', a: "é" } });
  await using file = await openSafetensors(path);
  assert.deepEqual(file.names(), ["ids", "u8"]);
  assert.deepEqual(file.metadata, new Map([["10", 'q"\n'], ["a", "é"]]));
  await writeSafetensors(`${dir}/b`, zoo, { names: [], metadata: {} });
  await using empty = await openSafetensors(`${dir}/b`);
  assert.deepEqual([empty.names().length, empty.metadata.size], [0, 0]);
});

Deno.test("a large tensor is read in parts no longer than a chunk", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const whole = tensorSourceFromMap(new Map([["a", bytes(100_000, 7)], ["b", bytes(10)]]));
  let longest = 0;
  const source: TensorSource = {
    ...whole,
    read: (name, into, offset) => {
      longest = Math.max(longest, into.byteLength);
      return whole.read(name, into, offset);
    },
  };
  await writeSafetensors(`${dir}/a`, source, { chunkBytes: 4096 });
  assert.equal(longest, 4096);
});

Deno.test("a file may be replaced while the source reads from it", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const path = `${dir}/a.safetensors`;
  await writeSafetensors(path, zoo);
  const before = await Deno.readFile(path);
  await using file = await openSafetensors(path);
  await writeSafetensors(path, file);
  assert.deepEqual(await Deno.readFile(path), before);
});

Deno.test("an abort or a failing source leaves the old file and nothing else", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const path = `${dir}/a.safetensors`;
  await Deno.writeTextFile(path, "old");
  const controller = new AbortController();
  const options = {
    chunkBytes: 8,
    signal: controller.signal,
    onBytes: () => controller.abort(new Error("stopped")),
  };
  await assert.rejects(writeSafetensors(path, zoo, options), /stopped/);
  const failing: TensorSource = { ...zoo, read: () => Promise.reject(new Error("no disk")) };
  await assert.rejects(writeSafetensors(path, failing), /no disk/);
  assert.equal(await Deno.readTextFile(path), "old");
  assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["a.safetensors"]);
});

Deno.test("bad names, metadata, chunks and folders are refused", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const path = `${dir}/a`;
  const named = (name: string) => tensorSourceFromMap(new Map([[name, bytes(1)]]));
  const metadata = (value: unknown) => ({ metadata: { key: value as string } });
  await assert.rejects(writeSafetensors(path, named("__metadata__")), /safetensors reserves/);
  await assert.rejects(writeSafetensors(path, named("\ud800")), /lone surrogate/);
  await assert.rejects(writeSafetensors(path, zoo, { names: ["u8", "u8"] }), /listed twice/);
  await assert.rejects(writeSafetensors(path, zoo, { names: ["nope"] }), /Cannot find tensor/);
  await assert.rejects(writeSafetensors(path, zoo, metadata(1)), /metadata "key" is not/);
  await assert.rejects(writeSafetensors(path, zoo, metadata("\udc00")), /metadata "key" is not/);
  await assert.rejects(
    writeSafetensors(path, zoo, metadata("x".repeat(9 * 1024 * 1024))),
    /its header would take \d+ bytes, over the 8388608 that readers accept/,
  );
  await assert.rejects(writeSafetensors(path, zoo, { chunkBytes: 0 }), /chunkBytes 0 is not/);
  await assert.rejects(
    writeSafetensors(`${dir}/none/a`, zoo),
    /^Error: Cannot write ".*none\/a": .*Check that its folder exists/,
  );
  assert.deepEqual([...Deno.readDirSync(dir)], []);
});

Deno.test("planShards() splits as Hugging Face does", () => {
  // >>> d = {n: torch.zeros(s, dtype=torch.uint8) for n, s in
  // ...      {"a": 4, "big": 20, "b": 4, "c": 1, "d": 8}.items()}
  // >>> huggingface_hub.split_torch_state_dict_into_shards(d, max_shard_size=8).filename_to_tensors
  const sizes = { a: 4, big: 20, b: 4, c: 1, d: 8 };
  const source = tensorSourceFromMap(
    new Map(Object.entries(sizes).map(([name, size]) => [name, bytes(size)])),
  );
  assert.deepEqual(planShards(source, source.names(), 8), [["big"], ["a", "b"], ["c"], ["d"]]);
  assert.deepEqual(planShards(source, [], 8), [[]]);
  assert.throws(() => planShards(source, [], 0), /maxShardBytes 0 is not positive/);
});

Deno.test("weights that fit one shard become model.safetensors", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const files = await writeSafetensorsSharded(dir, zoo);
  assert.deepEqual(files.map(({ name, bytes }) => [name, bytes]), [["model.safetensors", 927]]);
});

Deno.test("larger weights become shards with Hugging Face's index", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const source = tensorSourceFromMap(
    new Map([["b", bytes(6, 1)], ["10", bytes(2, 2)], ["a", bytes(5, 3)]]),
  );
  const files = await writeSafetensorsSharded(dir, source, { maxShardBytes: 8 });
  assert.deepEqual(files.map(({ name }) => name), [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
  ]);
  for (const { name, bytes, sha256 } of files) {
    const content = await Deno.readFile(`${dir}/${name}`);
    assert.equal(content.length, bytes);
    assert.equal(createHash("sha256").update(content).digest("hex"), sha256);
  }
  // >>> json.dumps(index, indent=2, sort_keys=True) + "\n"
  assert.equal(
    await Deno.readTextFile(`${dir}/model.safetensors.index.json`),
    `{
  "metadata": {
    "total_size": 13
  },
  "weight_map": {
    "10": "model-00001-of-00002.safetensors",
    "a": "model-00002-of-00002.safetensors",
    "b": "model-00001-of-00002.safetensors"
  }
}
`,
  );
});

Deno.test("weights of another layout in the folder are refused, the same layout is replaced", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await writeSafetensorsSharded(dir, zoo);
  await writeSafetensorsSharded(dir, zoo);
  await assert.rejects(
    writeSafetensorsSharded(dir, zoo, { maxShardBytes: 30 }),
    /^RangeError: Cannot write weights into .*: it holds "model\.safetensors" of another layout/,
  );
});

Deno.test("planSafetensors() tells where each tensor lies, behind a header of whole words", () => {
  const source = tensorSourceFromMap(
    new Map([["b", bytes(3)], ["a", bytes(5)], ["c", tensor("float32", [2], new Float32Array(2))]]),
  );
  const { header, ...plan } = planSafetensors("x", source, { metadata: {} });
  const json =
    '{"c":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[5],"data_offsets":' +
    '[8,13]},"b":{"dtype":"U8","shape":[3],"data_offsets":[13,16]}}';
  const length = Math.ceil(json.length / 8) * 8;
  assert.equal(new TextDecoder().decode(header.subarray(8)), json.padEnd(length));
  assert.equal(new DataView(header.buffer).getBigUint64(0, true), BigInt(length));
  const start = 8 + length;
  assert.deepEqual(plan, {
    tensors: [
      { name: "c", start, bytes: 8 },
      { name: "a", start: start + 8, bytes: 5 },
      { name: "b", start: start + 13, bytes: 3 },
    ],
    bytes: start + 16,
  });
  const only = planSafetensors("x", source, { names: ["a"] });
  assert.deepEqual(only.tensors.map(({ name }) => name), ["a"]);
  assert.match(
    new TextDecoder().decode(only.header.subarray(8)),
    /^\{"__metadata__":\{"format":"pt"\},"a":/,
  );
});

Deno.test("planSafetensors() takes a header of 8 MiB, 100,000 tensors, and no more", () => {
  const one = tensorSourceFromMap(new Map([["a", bytes(1)]]));
  const sized = (extra: number) => {
    const base = planSafetensors("x", one, { metadata: { k: "" } });
    const used = new TextDecoder().decode(base.header.subarray(8)).trimEnd().length;
    return planSafetensors("x", one, {
      metadata: { k: "x".repeat(8 * 1024 * 1024 - used + extra) },
    });
  };
  assert.equal(sized(0).header.length, 8 + 8 * 1024 * 1024);
  assert.throws(() => sized(1), {
    name: "RangeError",
    message:
      'Cannot write "x": its header would take 8388616 bytes, over the 8388608 that readers accept. Split the ' +
      "tensors into shards or shorten the metadata",
  });
});

Deno.test("writeSafetensors() tells of the bytes after the header and after each chunk", async () => {
  await using folder = await tempFolder();
  const source = tensorSourceFromMap(new Map([["a", bytes(10, 1)], ["b", bytes(7, 2)]]));
  const { header, bytes: total } = planSafetensors("x", source);
  const seen: number[] = [];
  const options = { chunkBytes: 4, onBytes: (written: number) => void seen.push(written) };
  await writeSafetensors(`${folder.path}/a`, source, options);
  const first = header.length;
  assert.deepEqual(seen, [first, ...[4, 8, 12, 16, 17].map((each) => first + each)]);
  assert.equal(seen.at(-1), total);
  const aborted = { signal: AbortSignal.abort(new Error("stopped")) };
  await assert.rejects(writeSafetensors(`${folder.path}/b`, source, aborted), /^Error: stopped$/);
  for (const chunkBytes of [0, -1, 0.5, NaN]) {
    await assert.rejects(writeSafetensors("b", source, { chunkBytes }), {
      name: "RangeError",
      message:
        `Cannot write "b": chunkBytes ${chunkBytes} is not a positive integer. Give some MiB`,
    });
  }
  await writeSafetensors(`${folder.path}/c`, source, { chunkBytes: 1 });
  assert.deepEqual(
    await Deno.readFile(`${folder.path}/c`),
    await Deno.readFile(`${folder.path}/a`),
  );
});

Deno.test("planShards() fills each shard to its last byte", () => {
  const source = tensorSourceFromMap(
    new Map([["a", bytes(4)], ["b", bytes(4)], ["c", bytes(1)], ["d", bytes(9)], ["e", bytes(7)]]),
  );
  const plan = (limit: number) => planShards(source, source.names(), limit);
  assert.deepEqual(plan(8), [["a", "b"], ["d"], ["c", "e"]]);
  assert.deepEqual(plan(9), [["a", "b", "c"], ["d"], ["e"]]);
  assert.deepEqual(plan(25), [["a", "b", "c", "d", "e"]]);
  assert.deepEqual(plan(24), [["a", "b", "c", "d"], ["e"]]);
  assert.deepEqual(planShards(source, [], 8), [[]]);
  for (const limit of [0, -1, NaN]) {
    assert.throws(() => plan(limit), {
      message: `Cannot plan shards: maxShardBytes ${limit} is not positive. Give some gigabytes`,
    });
  }
});
