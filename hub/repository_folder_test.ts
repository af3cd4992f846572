import assert from "node:assert/strict";
import { recordFiles } from "../tests/support/record_files.ts";
import { reasonOf } from "../tests/support/scripted_hub.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { HubError } from "./hub_error.ts";
import {
  type FolderRecord,
  lockFolder,
  makeFolders,
  makeRepositoryFolder,
  partialFolder,
  plainFile,
  readRecord,
  repositoryFolder,
  writeRecord,
} from "./repository_folder.ts";

Deno.test("repositoryFolder() joins with one slash", () => {
  for (const cache of ["models", "models/", "models//"]) {
    assert.equal(repositoryFolder(cache, "me/x"), "models/me/x");
  }
  assert.equal(partialFolder("models/me/x"), "models/me/x/.ortune-partial");
});

Deno.test("makeRepositoryFolder() makes the folder with the one for partial files, over what is there", async () => {
  await using temp = await tempFolder();
  const cache = `${temp.path}/a/models`;
  for (let times = 0; times < 2; times++) {
    assert.equal(await makeRepositoryFolder(cache, "me/x"), `${cache}/me/x`);
    assert.ok((await Deno.stat(`${cache}/me/x/.ortune-partial`)).isDirectory);
  }
  await Deno.symlink(`${cache}/me`, `${cache}/you`);
  await assert.rejects(makeRepositoryFolder(cache, "you/x"), {
    message: `Cannot write into ${cache}/you: it is a link. Remove it, or choose another folder`,
  });
});

Deno.test("makeFolders() and plainFile() refuse links and what is of another kind", async () => {
  await using temp = await tempFolder();
  const root = temp.path;
  await makeFolders(root, "a/b/c");
  assert.ok((await Deno.stat(`${root}/a/b/c`)).isDirectory);
  await Deno.writeTextFile(`${root}/a/file`, "four");
  await Deno.symlink(`${root}/a/b`, `${root}/a/link`);
  await Deno.symlink(`${root}/a/file`, `${root}/a/link_to_file`);
  const refused = async (promise: Promise<unknown>, message: string, file?: string) => {
    const error = await reasonOf(promise);
    assert.ok(error instanceof HubError);
    assert.deepEqual([error.message, error.file], [
      `${message}. Remove it, or choose another folder`,
      file,
    ]);
  };
  await refused(makeFolders(root, "a/link/d"), `Cannot write into ${root}/a/link: it is a link`);
  await refused(
    makeFolders(root, "a/file"),
    `Cannot write into ${root}/a/file: it is not a folder`,
  );

  const mtime = new Date(1_700_000_000_000);
  await Deno.utime(`${root}/a/file`, mtime, mtime);
  assert.deepEqual(await plainFile(root, "a/file"), { size: 4, modified: 1_700_000_000_000 });
  for (const none of ["x", "a/x", "a/x/y"]) assert.equal(await plainFile(root, none), undefined);
  const use = (at: string) => `Cannot use ${root}/${at}: it is`;
  const other = "not of the kind expected";
  await refused(plainFile(root, "a"), `${use("a")} ${other}`, "a");
  await refused(plainFile(root, "a/b/c"), `${use("a/b/c")} ${other}`, "a/b/c");
  await refused(plainFile(root, "a/file/x"), `${use("a/file")} ${other}`, "a/file/x");
  await refused(plainFile(root, "a/link/x"), `${use("a/link")} a link`, "a/link/x");
  await refused(
    plainFile(root, "a/link_to_file"),
    `${use("a/link_to_file")} a link`,
    "a/link_to_file",
  );
  // Too long for the file system, which is no file that is missing.
  assert.ok(!(await reasonOf(plainFile(root, "x".repeat(5000))) instanceof HubError));
});

Deno.test("lockFolder() waits for another to end, says so once, and stops waiting by the signal", async () => {
  await using temp = await tempFolder();
  const notices: string[] = [];
  const onNotice = (text: string) => void notices.push(text);
  const first = await lockFolder(temp.path, { onNotice });
  assert.deepEqual(notices, []);
  let taken = false;
  const second = lockFolder(temp.path, { onNotice }).then((lock) => {
    taken = true;
    return lock;
  });
  const reason = new Error("enough");
  const signal = AbortSignal.timeout(250);
  const third = reasonOf(lockFolder(temp.path, { signal, onNotice }));
  assert.equal((await third).name, "TimeoutError");
  assert.equal(taken, false);
  const aborted = AbortSignal.abort(reason);
  assert.equal(await reasonOf(lockFolder(temp.path, { signal: aborted })), reason);
  assert.deepEqual(
    notices,
    Array(2).fill(`Waiting for another download into ${temp.path} to end`),
  );
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
  (await lockFolder(temp.path, {}))[Symbol.dispose]();
});

const RECORD: FolderRecord = {
  version: 1,
  id: "me/x",
  source: "huggingface",
  revision: "main",
  commit: "c0ffee",
  complete: true,
  files: { "a/b": { size: 3, sha256: "aa", modified: 17 } },
};

Deno.test("writeRecord() writes whole or not at all what readRecord() reads", async () => {
  await using temp = await tempFolder();
  {
    using record = await recordFiles();
    await writeRecord(temp.path, RECORD);
    assert.match(record.calls.join("; "), /^sync .+; rename .+ to \.ortune\.json/);
  }
  assert.deepEqual([...Deno.readDirSync(temp.path)].map(({ name }) => name), [".ortune.json"]);
  assert.equal(
    await Deno.readTextFile(`${temp.path}/.ortune.json`),
    `{
  "version": 1,
  "id": "me/x",
  "source": "huggingface",
  "revision": "main",
  "commit": "c0ffee",
  "complete": true,
  "files": {
    "a/b": {
      "size": 3,
      "sha256": "aa",
      "modified": 17
    }
  }
}
`,
  );
  assert.deepEqual(await readRecord(temp.path), RECORD);
});

Deno.test("readRecord() fills in what older records lack, and takes none that is damaged", async () => {
  await using temp = await tempFolder();
  const read = async (value: unknown) => {
    await temp.write(".ortune.json", typeof value === "string" ? value : JSON.stringify(value));
    return await readRecord(temp.path);
  };
  assert.equal(await readRecord(temp.path), undefined);
  const { id: _id, commit: _commit, complete: _complete, ...old } = RECORD;
  assert.deepEqual(await read(old), { ...old, commit: null, complete: false });
  assert.deepEqual(await read({ ...RECORD, id: 7, complete: "yes" }), {
    ...old,
    commit: "c0ffee",
    complete: false,
  });
  assert.deepEqual(await read({ ...RECORD, files: {}, extra: 1 }), { ...RECORD, files: {} });
  const file = RECORD.files["a/b"];
  for (
    const damaged of [
      "{",
      "null",
      "7",
      { ...RECORD, version: 2 },
      { ...RECORD, source: 1 },
      { ...RECORD, revision: null },
      { ...RECORD, files: null },
      { ...RECORD, files: "a" },
      { ...RECORD, files: { "../a": file } },
      { ...RECORD, files: { a: null } },
      { ...RECORD, files: { a: { ...file, size: "3" } } },
      { ...RECORD, files: { a: { ...file, sha256: undefined } } },
    ]
  ) assert.equal(await read(damaged), undefined, JSON.stringify(damaged));
  const limit = 8 * 1024 * 1024;
  const text = JSON.stringify(RECORD);
  assert.deepEqual(await read(text.padEnd(limit)), RECORD);
  assert.equal(await read(text.padEnd(limit + 1)), undefined);
  // A link may lead anywhere.
  await temp.write("other", text);
  await Deno.remove(`${temp.path}/.ortune.json`);
  await Deno.symlink(`${temp.path}/other`, `${temp.path}/.ortune.json`);
  assert.equal(await readRecord(temp.path), undefined);
});

Deno.test("readRecord() says that reading is not permitted", async () => {
  const { lstat } = Deno;
  const denied = new Deno.errors.NotCapable("read");
  Object.assign(Deno, { lstat: () => Promise.reject(denied) });
  try {
    assert.equal(await reasonOf(readRecord("x")), denied);
  } finally {
    Object.assign(Deno, { lstat });
  }
});
