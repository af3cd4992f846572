import assert from "node:assert/strict";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { isFile, isFolder, isSameFolder } from "./path_kind.ts";

Deno.test("isFile() and isFolder() tell what stands at a path, through links", async () => {
  await using folder = await tempFolder();
  const at = (name: string) => `${folder.path}/${name}`;
  await folder.write("file", "x");
  await Deno.mkdir(at("below"));
  await Deno.symlink("file", at("link"));
  for (
    const [name, file, directory] of [
      ["file", true, false],
      ["below", false, true],
      ["link", true, false],
      ["nothing", false, false],
      ["file/below", false, false],
    ] as const
  ) {
    assert.equal(await isFile(at(name)), file, name);
    assert.equal(await isFolder(at(name)), directory, name);
  }
  await assert.rejects(isFile(at("x".repeat(5000))));
});

Deno.test("isSameFolder() knows a folder by its path and by what links lead to", async () => {
  await using folder = await tempFolder();
  const at = (name: string) => `${folder.path}/${name}`;
  await Deno.mkdir(at("a"));
  await Deno.mkdir(at("b"));
  await Deno.symlink("a", at("link"));
  for (
    const [one, two, same] of [
      ["a", "a/", true],
      ["a", "b/../a/.", true],
      ["a", "b", false],
      ["a", "link", true],
      ["link", "b", false],
      ["a", "nothing", false],
      ["nothing", "a", false],
      ["nothing", "none", false],
      ["nothing", "nothing/", true],
    ] as const
  ) assert.equal(await isSameFolder(at(one), at(two)), same, `${one} ${two}`);
});

Deno.test("folders of one number on two disks, or without numbers, are not the same", async () => {
  const { stat } = Deno;
  const told = (one: object, two: object) =>
    Object.assign(Deno, { stat: (path: string) => Promise.resolve(path === "x" ? one : two) });
  try {
    for (
      const [one, two, same] of [
        [{ ino: 1, dev: 2 }, { ino: 1, dev: 2 }, true],
        [{ ino: 1, dev: 2 }, { ino: 1, dev: 3 }, false],
        [{ ino: 1, dev: 2 }, { ino: 4, dev: 2 }, false],
        [{ ino: null, dev: 2 }, { ino: null, dev: 2 }, false],
      ] as const
    ) {
      told(one, two);
      assert.equal(await isSameFolder("x", "y"), same);
    }
  } finally {
    Object.assign(Deno, { stat });
  }
});

Deno.test({
  name: "what may not be read is not there",
  permissions: { read: false },
  async fn() {
    assert.deepEqual([await isFile("deno.json"), await isFolder(".")], [false, false]);
  },
});
