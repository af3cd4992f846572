import assert from "node:assert/strict";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { findRegularFile, isAbsent, readCapped, readCappedText } from "./regular_file.ts";

const options = { maxBytes: 64, remedy: "copy it" };
const mkfifo = (path: string) => new Deno.Command("mkfifo", { args: [path] }).output();

Deno.test("readCapped() reads a file, and one that a link of its folder names", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a.json", "{}");
  await Deno.mkdir(`${folder.path}/below`);
  await Deno.symlink("../a.json", `${folder.path}/below/up.json`);
  await Deno.symlink("a.json", `${folder.path}/b.json`);
  assert.equal(await readCappedText(path, options), "{}");
  assert.equal(await readCappedText(`${folder.path}/b.json`, options), "{}");
  assert.equal(
    await readCappedText(`${folder.path}/below/up.json`, { ...options, root: folder.path }),
    "{}",
  );
});

Deno.test("readCapped() reads through a link to the folder itself", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  await folder.write("a.json", "{}");
  await Deno.symlink(folder.path, `${other.path}/model`);
  assert.equal(await readCappedText(`${other.path}/model/a.json`, options), "{}");
});

Deno.test("readCapped() reads a snapshot of Hugging Face's cache", async () => {
  await using folder = await tempFolder();
  const repository = `${folder.path}/models--a--b`;
  await Deno.mkdir(`${repository}/snapshots/main`, { recursive: true });
  await Deno.mkdir(`${repository}/blobs`);
  await folder.write("models--a--b/blobs/123", "{}");
  await folder.write("secret", "no");
  const at = `${repository}/snapshots/main`;
  await Deno.symlink("../../blobs/123", `${at}/config.json`);
  await Deno.symlink("../../../secret", `${at}/other.json`);
  assert.equal(await readCappedText(`${at}/config.json`, options), "{}");
  await assert.rejects(readCapped(`${at}/other.json`, options), /link to a file outside/);
});

Deno.test("readCapped() refuses links out of the folder, pipes, devices, folders and long files", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  const at = (name: string): string => `${folder.path}/${name}`;
  await Deno.symlink(await other.write("secret", "no"), at("out"));
  await Deno.symlink("/dev/zero", at("zero"));
  await Deno.symlink("nowhere", at("nothing"));
  await Deno.symlink(".", at("self"));
  await mkfifo(at("pipe"));
  await Deno.symlink("pipe", at("to-pipe"));
  await folder.write("long", "x".repeat(65));
  const problems: [string, string][] = [
    ["out", "is a link to a file outside of its folder"],
    ["zero", "is a link to a file outside of its folder"],
    ["nothing", "is a link to nothing"],
    ["self", "is a link to a file outside of its folder"],
    ["pipe", "is not a regular file"],
    ["to-pipe", "is a link to something other than a regular file"],
    ["long", "has 65 bytes, more than 64"],
  ];
  for (const [name, problem] of problems) {
    const began = performance.now();
    await assert.rejects(readCapped(at(name), options), {
      name: "RangeError",
      message: `Cannot read ${at(name)}: it ${problem}; copy it`,
    });
    assert.ok(performance.now() - began < 1000, `${name} took long`);
  }
  assert.deepEqual(await findRegularFile("/dev/null"), { problem: "is not a regular file" });
  await assert.rejects(readCapped(at("none"), options), { code: "ENOENT" });
});

Deno.test("readCapped() bounds a file that says it is empty", async () => {
  if (Deno.build.os !== "linux") return;
  // Regular, of size 0 by stat, and longer.
  await assert.rejects(readCapped("/proc/self/status", options), {
    message: "Cannot read /proc/self/status: it has more than 64 bytes; copy it",
  });
});

Deno.test("readCapped() reads a file of just as many bytes as it may have, and one that says it is empty", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a", "x".repeat(64));
  assert.equal((await readCapped(path, options)).length, 64);
  assert.equal((await readCapped(await folder.write("none", ""), options)).length, 0);
  assert.equal(
    await readCappedText(await folder.write("b", Uint8Array.of(97, 255)), options),
    "a\ufffd",
  );
  if (Deno.build.os !== "linux") return;
  // Of some hundreds of bytes, which come at once or by pieces.
  const large = { ...options, maxBytes: 100_000 };
  const text = await readCappedText("/proc/self/limits", large);
  assert.equal(text, await Deno.readTextFile("/proc/self/limits"));
  const { length } = new TextEncoder().encode(text);
  assert.equal(await readCappedText("/proc/self/limits", { ...options, maxBytes: length }), text);
  await assert.rejects(readCapped("/proc/self/limits", { ...options, maxBytes: length - 1 }), {
    message: `Cannot read /proc/self/limits: it has more than ${length - 1} bytes; copy it`,
  });
});

Deno.test("findRegularFile() follows a link anywhere where the user named the path, and this may read there", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  const target = await other.write("a", "x");
  const link = `${folder.path}/link`;
  await Deno.symlink(target, link);
  assert.deepEqual(await findRegularFile(link, { root: null }), {
    path: await Deno.realPath(target),
  });
  assert.deepEqual(await findRegularFile(link, { root: "/" }), {
    path: await Deno.realPath(target),
  });
  assert.deepEqual(await findRegularFile(link, { root: other.path }), {
    path: await Deno.realPath(target),
  });
  // A folder whose name begins alike is another one.
  await Deno.mkdir(`${other.path}2`);
  await Deno.writeTextFile(`${other.path}2/b`, "x");
  const near = `${folder.path}/near`;
  await Deno.symlink(`${other.path}2/b`, near);
  assert.deepEqual(await findRegularFile(near, { root: other.path }), {
    problem: "is a link to a file outside of its folder",
  });
  await Deno.remove(`${other.path}2`, { recursive: true });
  const { query } = Deno.permissions;
  Object.assign(Deno.permissions, { query: () => Promise.resolve({ state: "prompt" }) });
  try {
    assert.deepEqual(await findRegularFile(link, { root: null }), {
      problem: "is a link to a file that may not be read",
    });
  } finally {
    Object.assign(Deno.permissions, { query });
  }
});

Deno.test("isAbsent() knows the error of a path at which there is nothing", () => {
  const error = (code: string) => Object.assign(new Error("x"), { code });
  assert.ok(isAbsent(error("ENOENT")));
  for (const other of [error("EACCES"), new Error("ENOENT"), { code: "ENOENT" }, undefined]) {
    assert.ok(!isAbsent(other));
  }
});
