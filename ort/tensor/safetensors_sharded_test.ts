import assert from "node:assert/strict";
import { openSafetensorsFolder } from "./safetensors_sharded.ts";
import { writeSafetensors, writeSafetensorsSharded } from "./safetensors_writer.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readAll, type TensorData, tensorSourceFromMap } from "./tensor_source.ts";

const indexName = "model.safetensors.index.json";
const tensor = (fill: number): TensorData => ({
  dtype: "uint8",
  shape: [4],
  data: new Uint8Array(4).fill(fill),
});
const source = tensorSourceFromMap(
  new Map([["a", tensor(1)], ["b", tensor(2)], ["c", tensor(3)]]),
);
const shardOf = (i: number): string => `model-0000${i}-of-00003.safetensors`;
const writeShards = (dir: string) => writeSafetensorsSharded(dir, source, { maxShardBytes: 4 });
const writeIndex = (dir: string, weightMap: unknown) =>
  Deno.writeTextFile(`${dir}/${indexName}`, JSON.stringify({ weight_map: weightMap }));

async function opens(dir: string, options = {}): Promise<void> {
  await using weights = await openSafetensorsFolder(dir, options);
  assert.deepEqual(weights.names(), ["a", "b", "c"]);
  for (const name of source.names()) {
    assert.deepEqual(weights.info(name), source.info(name));
    assert.deepEqual(await readAll(weights, name), await readAll(source, name));
  }
  assert.throws(() => weights.info("d"), /^RangeError: Cannot find tensor "d"/);
  await assert.rejects(weights.read("d", new Uint8Array(1)), RangeError);
}

Deno.test("a folder with one file and a folder with shards read alike", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await Deno.mkdir(`${dir}/one`);
  await Deno.mkdir(`${dir}/many`);
  await writeSafetensorsSharded(`${dir}/one`, source);
  await writeShards(`${dir}/many`);
  await opens(`${dir}/one`);
  await opens(`${dir}/many/`);
});

Deno.test("the folder itself may be reached through a link", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await Deno.mkdir(`${dir}/real`);
  await writeShards(`${dir}/real`);
  await Deno.symlink(`${dir}/real`, `${dir}/link`);
  await opens(`${dir}/link`);
});

Deno.test("an index by other writers, with floats beside total_size, is read", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await writeShards(dir);
  const weightMap = { a: shardOf(1), b: shardOf(2), c: shardOf(3) };
  const index = { metadata: { total_size: 1.5e10, nested: { deep: -1 } }, weight_map: weightMap };
  await Deno.writeTextFile(`${dir}/${indexName}`, JSON.stringify(index, null, 2));
  await opens(dir);
});

Deno.test("a folder without weights tells what was looked for and what is there", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await assert.rejects(openSafetensorsFolder(dir), {
    name: "NotFound",
    message: /only nothing\. /,
  });
  await Deno.writeTextFile(`${dir}/config.json`, "{}");
  await Deno.writeTextFile(`${dir}/pytorch_model.bin`, "");
  await assert.rejects(openSafetensorsFolder(dir), {
    name: "NotFound",
    message:
      `Cannot open weights in ${JSON.stringify(dir)}: it has neither model.safetensors nor ` +
      'model.safetensors.index.json, only "config.json", "pytorch_model.bin". Give a model ' +
      "folder, or download it again",
  });
  await assert.rejects(openSafetensorsFolder(`${dir}/none`), /there is no such folder/);
});

Deno.test("shard names that leave the folder or are no plain names are refused together", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await Deno.mkdir(`${dir}/m/sub`, { recursive: true });
  await writeSafetensors(`${dir}/out.safetensors`, source);
  await Deno.mkdir(`${dir}/m/dir.safetensors`);
  const bad: [shard: string, problem: string][] = [
    ["../out.safetensors", "is not a plain file name"],
    [`${dir}/out.safetensors`, "is not a plain file name"],
    ["sub/x.safetensors", "is not a plain file name"],
    ["..\\out.safetensors", "is not a plain file name"],
    ["C:x.safetensors", "is not a plain file name"],
    ["", "is not a plain file name"],
    ["..", "is not a plain file name"],
    [".safetensors", "is not a plain file name"],
    ["x\0.safetensors", "is not a plain file name"],
    ["x".repeat(300) + ".safetensors", "is not a plain file name"],
    ["config.json", "does not end in .safetensors"],
    ["dir.safetensors", "is not a regular file"],
    ["none.safetensors", "is missing"],
  ];
  for (const [shard, problem] of bad) {
    await writeIndex(`${dir}/m`, { a: shard });
    await assert.rejects(openSafetensorsFolder(`${dir}/m`), (error: unknown) => {
      assert.ok(error instanceof RangeError);
      assert.ok(error.message.includes(` ${problem}. Download the folder again`), error.message);
      return true;
    });
  }
  await writeIndex(`${dir}/m`, Object.fromEntries(bad.map(([shard], i) => [`t${i}`, shard])));
  await assert.rejects(
    openSafetensorsFolder(`${dir}/m`),
    /"\.\.\/out\.safetensors" is not a plain file name; .* and 3 more\. Download/,
  );
});

Deno.test("links are refused, unless the caller trusts the folder", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await Deno.mkdir(`${dir}/blobs`);
  await Deno.mkdir(`${dir}/m`);
  const files = await writeShards(`${dir}/blobs`);
  for (const { name } of files) await Deno.symlink(`../blobs/${name}`, `${dir}/m/${name}`);
  await assert.rejects(
    openSafetensorsFolder(`${dir}/m`),
    /index\.json" is a link to a file outside of its folder\. .*cp -L/,
  );
  await Deno.remove(`${dir}/m/${indexName}`);
  await Deno.copyFile(`${dir}/blobs/${indexName}`, `${dir}/m/${indexName}`);
  await assert.rejects(
    openSafetensorsFolder(`${dir}/m`),
    /00001-of-00003\.safetensors" is a link to .*; .*00003-of-00003\.safetensors" is a link to/,
  );
  await opens(`${dir}/m`, { followLinks: true });
  await Deno.mkdir(`${dir}/one`);
  await Deno.symlink(`../blobs/${shardOf(1)}`, `${dir}/one/model.safetensors`);
  await assert.rejects(
    openSafetensorsFolder(`${dir}/one`),
    /"model\.safetensors" is a link to a file outside/,
  );
  // By the name that it was asked for.
  await Deno.symlink(`${dir}/one`, `${dir}/link`);
  await assert.rejects(
    openSafetensorsFolder(`${dir}/link`),
    (error: Error) => error.message.startsWith(`Cannot open weights in "${dir}/link": "model.`),
  );
});

Deno.test("all tensors that the shards lack are reported together and nothing stays open", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await writeShards(dir);
  await writeIndex(dir, { a: shardOf(1), b: shardOf(1), x: shardOf(2), c: shardOf(3) });
  await assert.rejects(openSafetensorsFolder(dir), {
    name: "RangeError",
    message: /: 2 tensors of .* are missing from their shards: "b in model-00001-.*", "x in model-/,
  });
  await Deno.truncate(`${dir}/${shardOf(3)}`, 20);
  await assert.rejects(openSafetensorsFolder(dir), /Cannot read safetensors ".*00003-of-00003/);
});

Deno.test("a malformed index is refused with its path", async () => {
  const many = Object.fromEntries(
    Array.from({ length: 513 }, (_, i) => [`t${i}`, `${i}.safetensors`]),
  );
  const cases: [content: string | Uint8Array, problem: RegExp][] = [
    ["", /character 0: expected a value, the text ends/],
    ["{", /expected "\\"", the text ends/],
    ["[]", /it has no object weight_map/],
    ["{}", /it has no object weight_map/],
    ['{"weight_map":[]}', /it has no object weight_map/],
    ['{"weight_map":{}}', /its weight_map is empty/],
    ['{"weight_map":{"a":1}}', /its weight_map gives "a" something other than a file name/],
    ['{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', /duplicate key "a"/],
    ['{"weight_map":{},"weight_map":{}}', /duplicate key "weight_map"/],
    ['{"metadata":[[[[1]]]]}', /nesting is deeper than 4/],
    [Uint8Array.of(0x7b, 0xff), /it is not UTF-8/],
    [JSON.stringify({ weight_map: many }), /names 513 shards, more than 512/],
    [new Uint8Array(16 * 1024 * 1024 + 1).fill(0x20), /its 16777217 bytes exceed the limit of/],
  ];
  await using folder = await tempFolder();
  const dir = folder.path;
  for (const [content, problem] of cases) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(`${dir}/${indexName}`, bytes);
    await assert.rejects(openSafetensorsFolder(dir), (error: unknown) => {
      assert.ok(error instanceof RangeError, String(error));
      assert.match(error.message, /^Cannot read index ".*index\.json": .*\. Download it again$/);
      assert.match(error.message, problem);
      return true;
    });
  }
});
