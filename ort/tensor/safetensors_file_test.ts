import assert from "node:assert/strict";
import { MersenneTwister } from "./mersenne_twister.ts";
import { openSafetensors } from "./safetensors_file.ts";
import { writeSafetensors } from "./safetensors_writer.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readAll, readFloat32, tensorSourceFromMap } from "./tensor_source.ts";

/** Python's `safetensors.torch.save({"w": torch.tensor([1., 2.])}, {"format": "pt"})`, 0.8.0. */
const fromPython = Uint8Array.fromHex(
  "58000000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a227074227d2c2277223a7b226474" +
    "797065223a22463332222c227368617065223a5b325d2c22646174615f6f666673657473223a5b302c385d7d7d202020" +
    "0000803f00000040",
);

Deno.test("a file that Python wrote is read", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const path = `${dir}/w.safetensors`;
  await Deno.writeFile(path, fromPython);
  await using file = await openSafetensors(path);
  assert.deepEqual(file.names(), ["w"]);
  assert.deepEqual(file.info("w"), { dtype: "float32", shape: [2] });
  assert.equal(file.metadata.get("format"), "pt");
  assert.deepEqual([...await readFloat32(file, "w")], [1, 2]);
  assert.throws(() => file.info("v"), /^RangeError: Cannot find tensor "v": .*w\.safetensors/);
  await assert.rejects(file.read("w", new Uint8Array(9)), /it has 8 bytes/);
});

Deno.test("concurrent reads each get their own bytes", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  const tensors = new Map(
    Array.from({ length: 40 }, (_, i) => {
      const data = new Uint8Array(70_000 + i).fill(i + 1);
      return [`t${i}`, { dtype: "uint8", shape: [data.length], data }] as const;
    }),
  );
  await writeSafetensors(`${dir}/t.safetensors`, tensorSourceFromMap(tensors));
  await using file = await openSafetensors(`${dir}/t.safetensors`);
  const random = MersenneTwister.fromSeed(5);
  await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const into = new Uint8Array(1 + random.nextUint32() % 60_000);
    const reading = file.read(`t${i % 40}`, into, random.nextUint32() % 10_000);
    await reading;
    assert.ok(into.every((byte) => byte === i % 40 + 1));
  }));
  assert.deepEqual(await readAll(file, "t3"), tensors.get("t3")?.data);
});

Deno.test("asyncDispose waits for reads, and later reads are refused", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await Deno.writeFile(`${dir}/w`, fromPython);
  const file = await openSafetensors(`${dir}/w`);
  const reading = readAll(file, "w");
  await file[Symbol.asyncDispose]();
  assert.equal((await reading).length, 8);
  await assert.rejects(readAll(file, "w"), /^TypeError: Cannot read tensor "w": .* is closed/);
  file[Symbol.dispose](); // twice is fine
});

Deno.test("a file cut after opening is reported, and other reads go on", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await Deno.writeFile(`${dir}/w`, fromPython);
  using file = await openSafetensors(`${dir}/w`);
  await Deno.truncate(`${dir}/w`, fromPython.length - 3);
  await assert.rejects(
    readAll(file, "w"),
    /^RangeError: Cannot read tensor "w": .* ended 3 bytes/,
  );
  await file.read("w", new Uint8Array(4));
});

Deno.test("missing files, folders and cut files are refused and nothing stays open", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await assert.rejects(openSafetensors(`${dir}/none`), {
    name: "NotFound",
    message: /^Cannot read safetensors ".*none": there is no such file\. Check the path$/,
  });
  await assert.rejects(openSafetensors(dir), /it is not a regular file|Is a directory/);
  for (const length of [0, 5, 8, 50, fromPython.length - 1]) {
    await Deno.writeFile(`${dir}/cut`, fromPython.subarray(0, length));
    await assert.rejects(openSafetensors(`${dir}/cut`), /^RangeError: Cannot read safetensors "/);
  }
  await Deno.writeFile(`${dir}/w`, fromPython);
  await assert.rejects(
    openSafetensors(`${dir}/w`, { maxHeaderBytes: 10 }),
    /raise maxHeaderBytes/,
  );
});
