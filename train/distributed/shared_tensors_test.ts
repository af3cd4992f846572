import assert from "node:assert/strict";
import type { Comm } from "../../comm/comm.ts";
import { type LocalCall, localComms } from "../../tests/support/local_comm.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { INFOS, partsOf, WHOLE } from "../../tests/support/tensor_parts.ts";
import { withDeno } from "../../tests/support/with_deno.ts";
import { SharedTensors } from "./shared_tensors.ts";

/** The first process's tensors, and what the others wait in. */
function shared(comms: readonly Comm[]): { first: SharedTensors; settled: Promise<void>[] } {
  const [first, ...others] = comms.map((comm) => new SharedTensors(partsOf(comms.length), comm));
  return { first, settled: others.map((each) => each.settle()) };
}

Deno.test("the first process reads any bytes of a whole tensor, of which each has a part", async () => {
  for (const size of [1, 2, 3]) {
    const { first, settled } = shared(localComms(size));
    const source = first.source();
    assert.deepEqual(source.names(), ["b", "a", "c"]);
    assert.deepEqual(source.info("a"), INFOS.a);
    for (const [name, { data }] of WHOLE) {
      const all = new Uint8Array(data.length);
      await source.read(name, all);
      assert.deepEqual(all, data, name);
    }
    const ranges = [[0, 1], [399, 1], [5, 20], [10, 10], [9, 2], [17, 33], [40, 0]];
    // Asked for at once, they are read one after another.
    await Promise.all(ranges.map(async ([start, length]) => {
      const into = new Uint8Array(length);
      await source.read("a", into, start);
      assert.deepEqual(into, WHOLE.get("a")!.data.slice(start, start + length));
    }));
    await assert.rejects(source.read("c", new Uint8Array(2), 3), RangeError);
    await first.settle();
    await Promise.all(settled);
  }
});

Deno.test("a read gathers the parts of all processes in as few calls as their order allows", async () => {
  const calls: LocalCall[] = [];
  const { first, settled } = shared(localComms(2, (call) => calls.push(call)));
  await first.source().read("b", new Uint8Array(20), 5);
  await first.source().read("b", new Uint8Array(0), 5);
  const gathered = calls.filter(({ kind }) => kind.startsWith("allGather"));
  // Bytes 5 to 10 are the first one's, to 20 the second one's, to 25 the first one's again.
  for (const rank of [0, 1]) {
    assert.deepEqual(gathered.filter((call) => call.rank === rank), [
      { rank, kind: "allGather 5,10", length: 15 },
      { rank, kind: "allGather 5,0", length: 5 },
    ]);
  }
  await first.settle();
  await Promise.all(settled);
});

async function names(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
}

Deno.test("write() leaves nothing where a process does not find the file, or bytes of it are lost", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/file`;
  const apart = shared(localComms(2));
  const { open } = Deno;
  let opened = 0;
  await withDeno({
    open: (...[path, options]: Parameters<typeof open>) =>
      options?.write && !options.createNew && ++opened === 2
        ? Promise.reject(new Error("not here"))
        : open(path, options),
  }, async () => assert.equal(await apart.first.write(path), undefined));
  await apart.first.settle();
  await Promise.all(apart.settled);
  assert.deepEqual(await names(folder.path), []);

  const [one, two] = localComms(2);
  let calls = 0;
  const losing: Comm = {
    ...two,
    allGather: async (values, counts) => {
      // By its fourth call both have written.
      if (++calls === 4) {
        const [name] = await names(folder.path);
        await Deno.truncate(`${folder.path}/${name}`, 200);
      }
      return await two.allGather(values, counts);
    },
  };
  const lost = shared([one, losing]);
  const made = await lost.first.write(path);
  assert.equal(await made!.file, undefined);
  await lost.first.settle();
  await Promise.all(lost.settled);
  assert.deepEqual(await names(folder.path), []);
});

Deno.test("a write that fails is told by the first process alone, and the others go on", async () => {
  await using folder = await tempFolder();
  const [one, two] = localComms(2);
  const broken = {
    ...partsOf(2),
    readOwn: () => {
      throw new Error("lost");
    },
  };
  const first = new SharedTensors(partsOf(2), one);
  const settled = new SharedTensors(broken, two).settle();
  await assert.rejects(first.write(`${folder.path}/file`), /^Error: rank 1: Cannot write /);
  await first.settle();
  await settled;
});
