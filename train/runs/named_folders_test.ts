import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { describePlaces, firstFolder, firstPlace, foldersBelow, isBare } from "./named_folders.ts";

Deno.test({
  name: "what may not be read is told from what is not there",
  permissions: { read: ["models", "output"], write: false },
  fn: async () => {
    const { found, seen } = await firstFolder(["models/none", "/srv/base"]);
    assert.equal(found, undefined);
    assert.equal(
      describePlaces(seen),
      "there is no folder models/none; /srv/base may not be read (tasks read models, data and output " +
        "only)",
    );
  },
});

Deno.test("isBare() is of paths that do not begin with a folder of the house", () => {
  for (
    const path of ["a", "a/b", "Qwen/Qwen3", ".hidden", "...", "models2", "datasets/x", "outputs"]
  ) {
    assert.ok(isBare(path), path);
  }
  for (
    const path of [
      "",
      "/a",
      ".",
      "..",
      "./a",
      "../a",
      "models",
      "models/a",
      "data",
      "data/a",
      "output/a",
    ]
  ) {
    assert.ok(!isBare(path), path);
  }
});

Deno.test("describePlaces() lists what is not there, and what may not be read", () => {
  const places = (...allowed: boolean[]) =>
    allowed.map((each, i) => ({ path: `p${i}`, allowed: each }));
  assert.equal(describePlaces(places(true)), "there is no folder p0");
  assert.equal(describePlaces(places(true, true), "file"), "there is no file p0 or p1");
  const denied = "may not be read (tasks read models, data and output only)";
  assert.equal(describePlaces(places(false, false)), `p0 or p1 ${denied}`);
  assert.equal(describePlaces(places(false, true)), `there is no folder p1; p0 ${denied}`);
  assert.equal(describePlaces([]), "");
});

Deno.test("firstPlace() and firstFolder() take the first that is there, and tell what was seen before", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  const file = await folder.write("file", "");
  const [none, other] = [`${path}/none`, `${path}/other`];
  const seen = [{ path: none, allowed: true }, { path: file, allowed: true }];
  assert.deepEqual(await firstFolder([none, file, path, other]), { found: path, seen });
  assert.deepEqual(await firstFolder([none, file]), { seen });
  const is = (each: string) => Promise.resolve(each === file || each === other);
  assert.deepEqual(await firstPlace([none, file, other], is), {
    found: file,
    seen: seen.slice(0, 1),
  });
});

Deno.test("foldersBelow() finds folders of a name in a folder and in those in it, in order", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  for (const name of ["b/x", "a/x", "x", "c/y", "a/deep/x"]) {
    await Deno.mkdir(`${path}/${name}`, { recursive: true });
  }
  await Deno.mkdir(`${path}/d`);
  await folder.write("d/x", "no folder");
  assert.deepEqual(await foldersBelow(path, "x"), [`${path}/x`, `${path}/a/x`, `${path}/b/x`]);
  assert.deepEqual(await foldersBelow(path, "y"), [`${path}/c/y`]);
  assert.deepEqual(await foldersBelow(path, ""), []);
  assert.deepEqual(await foldersBelow(`${path}/none`, "x"), []);
});
