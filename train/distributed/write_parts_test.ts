import assert from "node:assert/strict";
import type { Comm } from "../../comm/comm.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { recordFiles } from "../../tests/support/record_files.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { partsOf, WHOLE } from "../../tests/support/tensor_parts.ts";
import { withDeno } from "../../tests/support/with_deno.ts";
import { SharedTensors } from "./shared_tensors.ts";
import type { TensorParts } from "./tensor_parts.ts";
import { createPartsFile, writeParts } from "./write_parts.ts";

for (const size of [1, 2, 3]) {
  Deno.test(`a file that ${size} processes write together is the one that a process writes`, async () => {
    await using folder = await tempFolder();
    const shared = localComms(size).map((comm) => new SharedTensors(partsOf(size), comm));
    const [first, ...others] = shared;
    using record = await recordFiles();
    const settled = others.map((each) => each.settle());
    const { file } = (await first.write(`${folder.path}/together`))!;
    const expected = await writeSafetensors(`${folder.path}/one`, tensorSourceFromMap(WHOLE));
    assert.deepEqual(await file, expected);
    await first.settle();
    await Promise.all(settled);
    // Each what it wrote, before the file has its name.
    const calls = record.calls.filter((call) => call.includes("together"))
      .map((call) => call.replace(/ \S+( |$)/, " STAGED$1"));
    assert.deepEqual(calls.slice(0, size), Array(size).fill("sync STAGED"));
    assert.deepEqual(calls[size], "rename STAGED to together");
    const [one, together] = await Promise.all(
      ["one", "together"].map((name) => Deno.readFile(`${folder.path}/${name}`)),
    );
    assert.deepEqual(together, one);
    const names = (await Array.fromAsync(Deno.readDir(folder.path))).map(({ name }) => name);
    assert.deepEqual(names.sort(), ["one", "together"]);
  });
}

/** Two processes write; what each of them is told. */
async function both(
  path: string,
  { parts = [partsOf(2), partsOf(2)], paths = [path, path], comms = localComms(2) }: {
    parts?: readonly TensorParts[];
    paths?: readonly string[];
    comms?: readonly Comm[];
  },
): Promise<unknown[]> {
  await createPartsFile(path, parts[0]);
  return await Promise.all(comms.map(async (comm, rank) => {
    try {
      const made = await writeParts(paths[rank], parts[rank], comm);
      return made === undefined ? "apart" : await made.file;
    } catch (error) {
      return (error as Error).message;
    }
  }));
}

Deno.test("processes find out that one of them has another file system", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/file`;
  assert.deepEqual(await both(path, { paths: [path, `${path}-of-another`] }), ["apart", "apart"]);
});

Deno.test("a write that fails is told on all, with its process", async () => {
  await using folder = await tempFolder();
  const broken: TensorParts = {
    ...partsOf(2),
    readOwn: () => {
      throw new Error("No space left on device");
    },
  };
  for (const rank of [0, 1]) {
    const parts = [partsOf(2), partsOf(2)];
    parts[rank] = broken;
    const path = `${folder.path}/file-${rank}`;
    const told = await both(path, { parts });
    assert.ok(
      String(told[0]).startsWith(
        `rank ${rank}: Cannot write "${path}": the disk is full after 0 bytes`,
      ),
      `${told[0]}`,
    );
    assert.equal(told[1], told[0]);
  }
});

Deno.test("bytes that the file system lost are found", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/file`;
  const [first, second] = localComms(2);
  let calls = 0;
  const losing: Comm = {
    ...second,
    allGather: (values, counts) => {
      // By its fourth call both have written.
      if (++calls === 4) {
        using file = Deno.openSync(path, { write: true });
        file.seekSync(-20, Deno.SeekMode.End);
        file.writeSync(new Uint8Array(8));
      }
      return second.allGather(values, counts);
    },
  };
  assert.deepEqual(await both(path, { comms: [first, losing] }), [undefined, undefined]);
});

Deno.test("a file longer than is read at once has the hash and bytes of one that a process writes", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/file`;
  // A piece ends within the first chunk of the file, one is over its end, and one is within the second.
  const ends = [0, 2 ** 23 - 50_000, 2 ** 23 + 40_000, 2 ** 23 + 70_000, 2 ** 23 + 90_009];
  const data = new Uint8Array(ends[4]);
  for (let i = 0; i < data.length; i += 97) data[i] = i >> 9;
  const info = { dtype: "uint8", shape: [data.length] } as const;
  const parts: TensorParts = {
    names: () => ["w"],
    info: () => info,
    partOf: (_, rank) =>
      ends.slice(1).map((end, i) => ({ start: ends[i], length: end - ends[i] }))
        .filter((_, i) => i % 2 === rank),
    readOwn: (_, into, offset) => into.set(data.subarray(offset, offset + into.length)),
  };
  const source = tensorSourceFromMap(new Map([["w", { ...info, data }]]));
  const expected = await writeSafetensors(`${folder.path}/one`, source);
  assert.deepEqual(await both(path, { parts: [parts, parts] }), [expected, expected]);
});

Deno.test("createPartsFile() makes room for all, and refuses a file that is there", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/file`;
  await createPartsFile(path, partsOf(2));
  const { bytes } = await writeSafetensors(`${folder.path}/one`, tensorSourceFromMap(WHOLE));
  assert.equal((await Deno.stat(path)).size, bytes);
  await assert.rejects(createPartsFile(path, partsOf(2)), ({ message }: Error) => {
    assert.ok(message.startsWith(`Cannot write "${path}": `), message);
    return true;
  });
});

Deno.test("a file that cannot be read again is told of on all, with the last process", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/file`;
  const { open } = Deno;
  await withDeno({
    open: (...[path, options]: Parameters<typeof open>) =>
      options ? open(path, options) : Promise.reject(new Error("gone")),
  }, async () => {
    const message = `rank 1: Cannot read ${path}: gone`;
    assert.deepEqual(await both(path, {}), [message, message]);
  });
});
