import assert from "node:assert/strict";
import { basename } from "node:path";
import { oneAtATime } from "../../tests/support/one_at_a_time.ts";
import { recordFiles } from "../../tests/support/record_files.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { withDeno } from "../../tests/support/with_deno.ts";
import { stageFolder } from "./staged_folder.ts";

Deno.test("stageFolder() syncs all files and folders before they have their name, and the folder around after", async () => {
  await using folder = await tempFolder();
  await using staged = await stageFolder(`${folder.path}/merged`, "merge");
  await Deno.mkdir(`${staged.path}/onnx`);
  await Deno.writeTextFile(`${staged.path}/config.json`, "{}");
  await Deno.writeTextFile(`${staged.path}/onnx/model.onnx`, "graph");
  using record = await recordFiles();
  await staged.finish();
  const calls = [...record.calls];
  const rename = "rename .unfinished-merged to merged";
  assert.deepEqual(calls.splice(-2), [rename, `sync ${basename(folder.path)}`]);
  // Where a folder stands among the others is the file system's affair; it follows what it holds.
  assert.deepEqual(calls.toSorted(), [
    "sync .unfinished-merged",
    "sync config.json",
    "sync model.onnx",
    "sync onnx",
  ]);
  assert.ok(calls.indexOf("sync model.onnx") < calls.indexOf("sync onnx"));
  assert.equal(calls.at(-1), "sync .unfinished-merged");
});

async function names(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
}

const cannot = (directory: string, why: string) => ({
  message: `Cannot merge into ${directory}: ${why}; give a new --output-dir`,
});

Deno.test("stageFolder() gives a folder its name once it is finished, in place of an empty one", async () => {
  await using folder = await tempFolder();
  for (const name of ["deep/new", "empty", "slash//"]) {
    const target = `${folder.path}/${name}`;
    if (name === "empty") await Deno.mkdir(target);
    const place = target.replace(/\/+$/, "");
    {
      await using staged = await stageFolder(target, "merge");
      const [, parent, last] = /^(.*)\/([^/]+)$/.exec(place)!;
      assert.equal(staged.path, `${parent}/.unfinished-${last}`);
      assert.deepEqual(await names(staged.path), []);
      await Deno.writeTextFile(`${staged.path}/a`, name);
      if (name !== "empty") await assert.rejects(Deno.lstat(place), Deno.errors.NotFound);
      await staged.finish();
      assert.deepEqual(await names(place), ["a"]);
    }
    assert.equal(await Deno.readTextFile(`${place}/a`), name);
  }
  assert.deepEqual(await names(folder.path), ["deep", "empty", "slash"]);
  assert.deepEqual(await names(`${folder.path}/deep`), ["new"]);
});

Deno.test("stageFolder() that is not finished leaves nothing, and takes what a killed process left", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/.unfinished-a/inside`, { recursive: true });
  {
    await using staged = await stageFolder(`${folder.path}/a`, "merge");
    assert.deepEqual(await names(staged.path), []);
    await Deno.mkdir(`${staged.path}/inside`);
  }
  assert.deepEqual(await names(folder.path), []);
});

Deno.test("stageFolder() refuses a folder that another one writes, and leaves it alone", async () => {
  await using folder = await tempFolder();
  const target = `${folder.path}/a`;
  {
    await using staged = await stageFolder(target, "merge");
    await Deno.writeTextFile(`${staged.path}/x`, "");
    await assert.rejects(
      stageFolder(target, "merge"),
      cannot(target, "another process is writing it"),
    );
    assert.deepEqual(await names(staged.path), ["x"]);
  }
  await using _again = await stageFolder(target, "merge");
});

Deno.test("stageFolder() refuses paths without a name, and what stands at a path already", async () => {
  await using folder = await tempFolder();
  for (const path of ["", ".", "..", "/", "a/..", "../.."]) {
    await assert.rejects(stageFolder(path, "merge"), cannot(path, "it has no name of its own"));
  }
  await folder.write("file", "");
  await Deno.mkdir(`${folder.path}/full/inside`, { recursive: true });
  await Deno.mkdir(`${folder.path}/empty`);
  await Deno.symlink("empty", `${folder.path}/link`);
  for (
    const [name, why] of [
      ["file", "it is a file"],
      ["full", "it is not empty"],
      ["link", "it is a link"],
    ]
  ) {
    const path = `${folder.path}/${name}`;
    await assert.rejects(stageFolder(path, "merge"), cannot(path, why));
  }
  const below = `${folder.path}/file/below`;
  await assert.rejects(stageFolder(below, "merge"), ({ message, cause }: Error) => {
    assert.match(
      message,
      /^Cannot merge into .*\/file\/below: Not a directory .*; give a new --output-dir$/,
    );
    return cause instanceof Deno.errors.NotADirectory;
  });
  assert.deepEqual(await names(folder.path), ["empty", "file", "full", "link"]);
});

Deno.test("finish() says why it failed, and nothing is left then", async () => {
  await using folder = await tempFolder();
  const target = `${folder.path}/a`;
  {
    await using staged = await stageFolder(target, "merge");
    await Deno.writeTextFile(`${staged.path}/x`, "");
    await Deno.mkdir(`${target}/inside`, { recursive: true });
    await assert.rejects(
      staged.finish(),
      /^Error: Cannot merge into .*\/a: .* \(os error 39\).*; free space; give a new --output-dir$/,
    );
  }
  assert.deepEqual(await names(folder.path), ["a"]);
});

Deno.test("stageFolder() leaves errors of permissions as they are", async () => {
  await using folder = await tempFolder();
  const denied = new Deno.errors.NotCapable("Requires write access");
  const isDenied = (cause: unknown): boolean => cause === denied;
  const reject = () => Promise.reject(denied);
  for (const name of ["mkdir", "lstat", "open"]) {
    await withDeno({ [name]: reject }, async () => {
      await assert.rejects(stageFolder(`${folder.path}/a`, "merge"), isDenied, name);
    });
  }
  await using staged = await stageFolder(`${folder.path}/b`, "merge");
  await withDeno({ rename: reject }, async () => {
    await assert.rejects(staged.finish(), isDenied);
  });
});

Deno.test("stageFolder() goes without a lock where folders cannot be opened or locked", async () => {
  await using folder = await tempFolder();
  const { open } = Deno;
  let closed = 0;
  const unlockable = async (path: string): Promise<Deno.FsFile> => {
    const file = await open(path);
    return Object.assign(file, {
      tryLock: () => Promise.reject(new Error("not here")),
      close: () => {
        closed++;
        Deno.FsFile.prototype.close.call(file);
      },
    });
  };
  await Deno.mkdir(`${folder.path}/.unfinished-a`);
  for (const stub of [() => Promise.reject(new Error("a folder")), unlockable]) {
    await withDeno({ open: stub }, async () => {
      await using staged = await stageFolder(`${folder.path}/a`, "merge");
      assert.deepEqual(await names(staged.path), []);
    });
  }
  assert.ok(closed > 0);
  assert.deepEqual(await names(folder.path), []);
});

Deno.test("finish() opens what it syncs for reading alone, but on Windows", async () => {
  await using folder = await tempFolder();
  await using staged = await stageFolder(`${folder.path}/a`, "merge");
  await Deno.writeTextFile(`${staged.path}/x`, "");
  const { open } = Deno;
  const opened: unknown[] = [];
  await withDeno({
    open: (path: string, options?: Deno.OpenOptions) => {
      opened.push([basename(path), options]);
      return open(path, options);
    },
  }, () => staged.finish());
  assert.deepEqual(opened[0], ["x", { read: true, write: Deno.build.os === "windows" }]);
});

Deno.test("a staged folder is made, finished and left one step after another", async () => {
  await using folder = await tempFolder();
  const target = `${folder.path}/a`;
  await Deno.mkdir(`${folder.path}/.unfinished-a/inside`, { recursive: true });
  await oneAtATime(async () => {
    await using staged = await stageFolder(target, "merge");
    await Deno.mkdir(`${staged.path}/inside`);
    await Deno.writeTextFile(`${staged.path}/inside/x`, "");
    await staged.finish();
  });
  assert.deepEqual(await names(target), ["inside"]);
  await oneAtATime(async () => {
    await using _staged = await stageFolder(`${folder.path}/b`, "merge");
  });
  assert.deepEqual(await names(folder.path), ["a"]);
});
