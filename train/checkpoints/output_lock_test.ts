import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { withDeno } from "../../tests/support/with_deno.ts";
import { lockOutput } from "./output_lock.ts";

Deno.test("lockOutput() makes the folder, refuses a second holder, and lets go", async () => {
  await using folder = await tempFolder();
  const directory = `${folder.path}/a/b`;
  {
    using lock = await lockOutput(directory);
    assert.equal(lock.directory, directory);
    await assert.rejects(lockOutput(directory), {
      message: `Cannot train into ${directory}: another trainer is writing there; wait for it or ` +
        "give another --output-dir",
    });
  }
  using again = await lockOutput(directory);
  assert.equal(again.directory, directory);
});

Deno.test("lockOutput() says where a file is in the way", async () => {
  await using folder = await tempFolder();
  const file = await folder.write("file", "");
  await assert.rejects(lockOutput(file), {
    message: `Cannot write into ${file}: it is a file; give another --output-dir`,
  });
  await assert.rejects(lockOutput(`${file}/output`), {
    message: `Cannot write into ${file}/output: a part of its path is a file; ` +
      "give another --output-dir",
  });
});

Deno.test("lockOutput() says who holds it and what cannot be done, as the caller names them", async () => {
  await using folder = await tempFolder();
  using _lock = await lockOutput(folder.path);
  await assert.rejects(lockOutput(folder.path, { act: "export to", holder: "export" }), {
    message:
      `Cannot export to ${folder.path}: another export is writing there; wait for it or give ` +
      "another --output-dir",
  });
});

Deno.test("lockOutput() locks folder and file, each of which keeps another one out", async () => {
  await using folder = await tempFolder();
  const busy = /^Error: Cannot train into .*: another trainer is writing there/;
  for (const path of [folder.path, `${folder.path}/.lock`]) {
    await folder.write(".lock", "");
    using file = await Deno.open(path);
    assert.ok(await file.tryLock(true));
    await assert.rejects(lockOutput(folder.path), busy, path);
    await file.unlock();
    using _lock = await lockOutput(folder.path);
    assert.equal(await file.tryLock(true), false, path);
  }
  // A lock that was refused left nothing locked.
  using _again = await lockOutput(folder.path);
});

Deno.test("isHeld() tells a folder that was moved, removed or replaced", async () => {
  await using folder = await tempFolder();
  const directory = `${folder.path}/run`;
  using lock = await lockOutput(directory);
  assert.equal(await lock.isHeld(), true);
  await Deno.rename(directory, `${folder.path}/moved`);
  assert.equal(await lock.isHeld(), false);
  await Deno.mkdir(directory);
  assert.equal(await lock.isHeld(), false);
  await Deno.remove(directory);
  await Deno.rename(`${folder.path}/moved`, directory);
  assert.equal(await lock.isHeld(), true);
});

Deno.test("lockOutput() and isHeld() leave errors of permissions as they are", async () => {
  await using folder = await tempFolder();
  const denied = new Deno.errors.NotCapable("Requires write access");
  const reject = () => Promise.reject(denied);
  await withDeno({ mkdir: reject }, async () => {
    await assert.rejects(lockOutput(folder.path), (cause) => cause === denied);
  });
  const { open } = Deno;
  await withDeno({
    open: (path: string, options?: Deno.OpenOptions) => options ? open(path, options) : reject(),
  }, async () => {
    await assert.rejects(lockOutput(folder.path), (cause) => cause === denied);
  });
  using lock = await lockOutput(folder.path);
  await withDeno({ stat: reject }, async () => {
    await assert.rejects(lock.isHeld(), (cause) => cause === denied);
  });
  await withDeno({ mkdir: () => Promise.reject(new Error("full")) }, async () => {
    await assert.rejects(lockOutput("out"), {
      message: "Cannot write into out: full; give another --output-dir",
    });
  });
});

Deno.test("lockOutput() goes by the file alone where folders cannot be opened or locked", async () => {
  await using folder = await tempFolder();
  const { open } = Deno;
  const opened = (of: () => Promise<Deno.FsFile>) => ({
    open: (path: string, options?: Deno.OpenOptions) => options ? open(path, options) : of(),
  });
  await withDeno(opened(() => Promise.reject(new Error("a folder"))), async () => {
    using lock = await lockOutput(folder.path);
    assert.equal(await lock.isHeld(), true);
    await Deno.remove(`${folder.path}/.lock`);
    assert.equal(await lock.isHeld(), false);
  });
  await withDeno(
    opened(async () =>
      Object.assign(await open(folder.path), {
        tryLock: () => Promise.reject(new Error("not here")),
      })
    ),
    async () => {
      using lock = await lockOutput(folder.path);
      await assert.rejects(lockOutput(folder.path), /another trainer/);
      assert.equal(await lock.isHeld(), true);
    },
  );
});

Deno.test("lockOutput() keeps another one out whose lock file was removed and made again", async () => {
  await using folder = await tempFolder();
  using _lock = await lockOutput(folder.path);
  await Deno.remove(`${folder.path}/.lock`);
  await assert.rejects(lockOutput(folder.path), /another trainer is writing there/);
});
