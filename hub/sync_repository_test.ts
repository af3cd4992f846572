import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type FakeHub, fakeHub } from "../tests/support/fake_hub.ts";
import { recordFiles } from "../tests/support/record_files.ts";
import { reasonOf } from "../tests/support/scripted_hub.ts";
import { type TempFolder, tempFolder } from "../tests/support/temp_folder.ts";
import type { HubOptions, HubProgress, RepositoryKind } from "./hub_options.ts";
import { syncRepository } from "./sync_repository.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Fetches all files, or those that are named; gives what was told of it. */
async function sync(
  hub: FakeHub,
  temp: TempFolder,
  { kind = "model", names, ...options }: Partial<HubOptions> & {
    kind?: RepositoryKind;
    names?: readonly string[];
  } = {},
) {
  const progress: HubProgress[] = [];
  const notices: string[] = [];
  const folder = await syncRepository("me/x", {
    kind,
    select: (files) => files.filter(({ path }) => names?.includes(path) ?? true),
    isComplete: ({ complete }) => complete,
  }, {
    source: "huggingface",
    cacheDir: temp.path,
    fetch: hub.fetch,
    sleep: () => Promise.resolve(),
    onProgress: (each) => void progress.push(each),
    onNotice: (text) => void notices.push(text),
    ...options,
  });
  return { folder, progress, notices };
}

const record = async (temp: TempFolder) =>
  JSON.parse(await Deno.readTextFile(`${temp.path}/me/x/.ortune.json`));
const list = (temp: TempFolder) =>
  [...Deno.readDirSync(`${temp.path}/me/x`)].map(({ name }) => name).sort();
const modified = (temp: TempFolder, path: string) =>
  Deno.statSync(`${temp.path}/me/x/${path}`).mtime!.getTime();

Deno.test("syncRepository() writes files and a record of them in order of their paths", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ "b/c/d.txt": "12345", a: "123" });
  hub.large.add("a");
  const { folder, notices } = await sync(hub, temp);
  assert.equal(folder, `${temp.path}/me/x`);
  assert.deepEqual(notices, []);
  assert.deepEqual(list(temp), [".ortune.json", ".ortune.lock", "a", "b"]);
  assert.equal(await Deno.readTextFile(`${folder}/b/c/d.txt`), "12345");
  const text = await Deno.readTextFile(`${folder}/.ortune.json`);
  assert.deepEqual(JSON.parse(text), {
    version: 1,
    id: "me/x",
    source: "huggingface",
    revision: "main",
    commit: hub.commit,
    complete: true,
    files: {
      a: { size: 3, sha256: sha256("123"), modified: modified(temp, "a") },
      "b/c/d.txt": { size: 5, sha256: sha256("12345"), modified: modified(temp, "b/c/d.txt") },
    },
  });
  assert.ok(text.indexOf('"a"') < text.indexOf('"b/c/d.txt"'));
});

Deno.test("syncRepository() asks for master of ModelScope, and records no commit", async () => {
  await using temp = await tempFolder();
  const asked: string[] = [];
  const fetch: HubOptions["fetch"] = (input) => {
    asked.push(String(input));
    return Promise.resolve(
      String(input).includes("FilePath")
        ? new Response("123")
        : Response.json({ Data: [{ Type: "blob", Path: "a", Size: 3 }] }),
    );
  };
  const { notices } = await sync(fakeHub({}), temp, { source: "modelscope", fetch });
  assert.deepEqual(asked, [
    "https://www.modelscope.cn/api/v1/models/me/x/repo/files?Revision=master&Recursive=True",
    "https://www.modelscope.cn/api/v1/models/me/x/repo?Revision=master&FilePath=a",
  ]);
  const { source, revision, commit } = await record(temp);
  assert.deepEqual([source, revision, commit], ["modelscope", "master", null]);
  assert.deepEqual(notices, [
    "a: www.modelscope.cn publishes no checksum, only its size was checked",
  ]);
  await sync(fakeHub({}), temp, { source: "modelscope", fetch, revision: "v2" });
  assert.match(asked.at(-1)!, /Revision=v2&FilePath=a$/);
});

Deno.test("syncRepository() counts bytes and files, those that are here first", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "123", b: "12345" });
  await sync(hub, temp, { names: ["a"] });
  const { progress } = await sync(hub, temp);
  const sums = { size: 8, files: 2 };
  assert.deepEqual(progress, [
    { file: "a", bytes: 3, filesDone: 1, ...sums },
    { file: "b", bytes: 8, filesDone: 1, ...sums },
    { file: "b", bytes: 8, filesDone: 2, ...sums },
  ]);
  assert.deepEqual(hub.fetched, ["a", "b"]);
  // Falls where a download starts over.
  await Deno.remove(`${temp.path}/me/x/b`);
  const answers = [new Response("1234"), new Response("12345")];
  hub.answer = () => answers.shift();
  const again = await sync(hub, temp);
  assert.deepEqual(
    again.progress.map(({ file, bytes, filesDone }) => [file, bytes, filesDone]),
    [["a", 3, 1], ["b", 7, 1], ["b", 8, 1], ["b", 8, 2]],
  );
});

Deno.test("syncRepository() fetches three files at once", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "1", b: "2", c: "3", d: "4", e: "5" });
  let [now, most] = [0, 0];
  const three = Promise.withResolvers<void>();
  hub.answer = async (path) => {
    most = Math.max(most, ++now);
    if (now === 3) three.resolve();
    await three.promise;
    // Time for one more.
    await new Promise((resolve) => setTimeout(resolve, 50));
    now--;
    return new Response(hub.files.get(path)!);
  };
  await sync(hub, temp);
  assert.equal(most, 3);
  assert.deepEqual(hub.fetched.sort(), ["a", "b", "c", "d", "e"]);
});

Deno.test("syncRepository() stops other downloads by the first failure, and records what came", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "1", b: "22", c: "333", d: "4", e: "5" });
  hub.answer = async (path, signal) => {
    if (path === "a") return undefined as unknown as Response;
    if (path === "b") {
      // The next one is begun when the first is recorded.
      while (!hub.fetched.includes("d")) await new Promise((resolve) => setTimeout(resolve, 1));
      return new Response(null, { status: 403 });
    }
    return await new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  };
  await assert.rejects(sync(hub, temp), /Cannot fetch b of me\/x from huggingface\.co: status 403/);
  const { complete, files } = await record(temp);
  assert.deepEqual([complete, Object.keys(files)], [false, ["a"]]);
  assert.ok(!hub.fetched.includes("e"));
  assert.deepEqual(list(temp), [".ortune-partial", ".ortune.json", ".ortune.lock", "a"]);
});

Deno.test("syncRepository() fetches what changed on the hub or here, and says which was changed here", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "123", b: "456", c: "789", d: "000" });
  for (const large of ["a", "b"]) hub.large.add(large);
  await sync(hub, temp);
  const at = (path: string) => `${temp.path}/me/x/${path}`;
  hub.fetched.length = 0;
  // Of large files the record tells, as long as size and time are those that were recorded.
  const time = Deno.statSync(at("a")).mtime!;
  await Deno.writeTextFile(at("a"), "xxx");
  await Deno.utime(at("a"), time, time);
  // Small ones are hashed each time.
  const small = Deno.statSync(at("c")).mtime!;
  await Deno.writeTextFile(at("c"), "yyy");
  await Deno.utime(at("c"), small, small);
  // Touched, and as it was.
  await Deno.utime(at("b"), 1000, 1000);
  await Deno.writeTextFile(at("d"), "0000");
  await Deno.utime(at("d"), 1000, 1000);
  const { notices } = await sync(hub, temp);
  assert.deepEqual(hub.fetched.sort(), ["c", "d"]);
  assert.equal(await Deno.readTextFile(at("a")), "xxx");
  assert.deepEqual(notices, [
    `${at("d")} was changed since it was fetched: fetching it again`,
  ]);
  const { files } = await record(temp);
  assert.deepEqual(files.b, { size: 3, sha256: sha256("456"), modified: 1_000_000 });

  hub.fetched.length = 0;
  hub.files.set("a", "abc").set("b", "defg");
  const next = await sync(hub, temp);
  assert.deepEqual([hub.fetched.sort(), next.notices], [["a", "b"], []]);
  assert.equal(await Deno.readTextFile(at("a")) + await Deno.readTextFile(at("b")), "abcdefg");
});

Deno.test("syncRepository() takes files that fit, and replaces none that it did not fetch", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "123", b: "456", c: "789" });
  hub.large.add("a");
  hub.unchecked.add("c");
  const at = `${temp.path}/me/x`;
  await Deno.mkdir(at, { recursive: true });
  await Deno.writeTextFile(`${at}/a`, "123");
  await Deno.writeTextFile(`${at}/b`, "456");
  await sync(hub, temp, { names: ["a", "b"] });
  assert.deepEqual(hub.fetched, []);
  const { complete, files } = await record(temp);
  assert.deepEqual([complete, files.b], [
    true,
    { size: 3, sha256: sha256("456"), modified: modified(temp, "b") },
  ]);
  // Nothing tells whether one without a checksum is the hub's.
  await Deno.writeTextFile(`${at}/c`, "789");
  const error = await reasonOf(sync(hub, temp));
  assert.deepEqual({ ...error, message: error.message }, {
    name: "HubError",
    message:
      `Cannot fetch c of me/x into ${at}: another file of that name is there, which was not fetched. Move ` +
      "it away, or choose another folder",
    host: undefined,
    status: undefined,
    file: "c",
    temporary: false,
    retryAfter: undefined,
  });
});

Deno.test("syncRepository() removes files of another revision of a model, not of a dataset", async () => {
  for (const kind of ["model", "dataset"] as const) {
    await using temp = await tempFolder();
    const hub = fakeHub({ a: "123", b: "456", c: "789" });
    await sync(hub, temp, { kind });
    hub.files.delete("b");
    hub.files.delete("c");
    hub.commit = "f".repeat(40);
    await Deno.remove(`${temp.path}/me/x/c`);
    hub.fetched.length = 0;
    await sync(hub, temp, { kind });
    assert.deepEqual(hub.fetched, []);
    assert.deepEqual(list(temp).filter((name) => !name.startsWith(".")), [
      "a",
      ...kind === "dataset" ? ["b"] : [],
    ]);
    const { files, commit, complete } = await record(temp);
    assert.deepEqual([Object.keys(files), commit, complete], [
      kind === "dataset" ? ["a", "b", "c"] : ["a"],
      hub.commit,
      true,
    ]);
  }
});

Deno.test("syncRepository() takes a model for incomplete before it removes a file of it", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "123", b: "456" });
  await sync(hub, temp);
  hub.files.delete("b");
  const { remove } = Deno;
  let complete: boolean | undefined;
  Object.assign(Deno, {
    async remove(path: string, options?: Deno.RemoveOptions): Promise<void> {
      if (path.endsWith("/b")) ({ complete } = await record(temp));
      await remove(path, options);
    },
  });
  try {
    await sync(hub, temp);
  } finally {
    Object.assign(Deno, { remove });
  }
  assert.equal(complete, false);
  assert.equal((await record(temp)).complete, true);
});

Deno.test("syncRepository() makes the files' names last before it calls them complete", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "123" });
  using calls = await recordFiles();
  await sync(hub, temp);
  const named = calls.calls.map((call) => call.replace(/\w{32}\.part/, "PART"));
  const from = named.indexOf("rename PART to a");
  const synced = named.indexOf("sync x");
  const complete = named.findLastIndex((call) => call.endsWith("to .ortune.json"));
  assert.ok(from >= 0 && from < synced && synced < complete, named.join("\n"));
});

Deno.test("syncRepository() goes on from bytes of the same file alone", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "12345", b: "12345", c: "67890" });
  hub.large.add("b");
  hub.answer = (path) => {
    return new Response(hub.files.get(path)!.slice(0, 2));
  };
  await reasonOf(sync(hub, temp, { names: ["a"] }));
  const partials = () =>
    [...Deno.readDirSync(`${temp.path}/me/x/.ortune-partial`)].map(({ name }) => name);
  assert.equal(partials().length, 1);
  await reasonOf(sync(hub, temp, { names: ["b"] }));
  assert.equal(partials().length, 2);
  hub.files.set("a", "1234567");
  await reasonOf(sync(hub, temp, { names: ["a"] }));
  hub.files.set("a", "7234567");
  await reasonOf(sync(hub, temp, { names: ["a"] }));
  hub.unchecked.add("a");
  await reasonOf(sync(hub, temp, { names: ["a"] }));
  assert.equal(partials().length, 5);
  for (const name of partials()) assert.match(name, /^[0-9a-f]{32}\.part$/);
});

Deno.test("syncRepository() takes offline what is on record, and says what is not here", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "123", b: "456" });
  const options = { offline: true, fetch: () => assert.fail("asked") };
  const at = `${temp.path}/me/x`;
  const says = async (problem: string, more: Partial<HubOptions> = {}) =>
    assert.equal(
      (await reasonOf(sync(hub, temp, { ...options, ...more }))).message,
      `Cannot use me/x offline: ${problem} in ${at}. Fetch it once while online, or copy the folder from a machine ` +
        `that did (from ${
          more.source === "modelscope" ? "ModelScope" : "Hugging Face"
        } or another source)`,
    );
  await says("no complete copy is");
  await says("no complete copy is", { source: "modelscope" });
  await sync(hub, temp, { revision: "v1" });
  const taken = async (more: Partial<HubOptions>) =>
    assert.equal((await sync(hub, temp, { ...options, ...more })).folder, at);
  await taken({});
  await taken({ revision: "v1" });
  await taken({ revision: hub.commit });
  await says("revision v1, not main, is", { revision: "main" });
  await Deno.writeTextFile(`${at}/b`, "45");
  await says("b with 2 bytes instead of 3 is");
  await Deno.remove(`${at}/b`);
  await says("no b is");
  const all = await record(temp);
  await Deno.writeTextFile(`${at}/.ortune.json`, JSON.stringify({ ...all, complete: false }));
  await says("no complete copy is");
});

Deno.test("syncRepository() does nothing where it was stopped before, and ends with the reason of an abort", async () => {
  await using temp = await tempFolder();
  const hub = fakeHub({ a: "123", b: "456" });
  const reason = new Error("enough");
  const before = sync(hub, temp, { signal: AbortSignal.abort(reason) });
  assert.equal(await reasonOf(before), reason);
  assert.deepEqual([...Deno.readDirSync(temp.path)], []);
  const stop = new AbortController();
  hub.answer = (_path, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      if (hub.fetched.length === 2) stop.abort(reason);
    });
  assert.equal(await reasonOf(sync(hub, temp, { signal: stop.signal })), reason);
  // Stopped between the list and the files.
  const late = new AbortController();
  hub.fetched.length = 0;
  const amid = syncRepository("me/x", {
    kind: "model",
    select: (files) => {
      late.abort(reason);
      return files;
    },
    isComplete: () => true,
  }, { source: "huggingface", cacheDir: temp.path, fetch: hub.fetch, signal: late.signal });
  assert.equal(await reasonOf(amid), reason);
  assert.deepEqual(hub.fetched, []);
  // The folder is free again.
  hub.answer = () => undefined;
  await sync(hub, temp);
});

Deno.test("syncRepository() checks id, revision and options before all else, offline too", async () => {
  await using temp = await tempFolder();
  const wanted = { kind: "model", select: () => [], isComplete: () => true } as const;
  const base = { source: "huggingface", cacheDir: temp.path, offline: true } as const;
  await assert.rejects(syncRepository("x", wanted, base), /is not of the form owner\/name/);
  await assert.rejects(
    syncRepository("me/x", wanted, { ...base, revision: "-" }),
    /is not a branch, tag or commit/,
  );
  await assert.rejects(
    syncRepository("me/x", wanted, { ...base, endpoint: "x" }),
    /Cannot use the endpoint/,
  );
});
