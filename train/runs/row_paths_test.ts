import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { describeSource, expandRows, findRows, listPaths, splitsOfFolder } from "./row_paths.ts";

Deno.test("listPaths() gives no, one or several names as a list", () => {
  assert.deepEqual(listPaths(undefined), []);
  assert.deepEqual(listPaths("a"), ["a"]);
  assert.deepEqual(listPaths(["a", "b"]), ["a", "b"]);
});

Deno.test("describeSource() names up to five files of a folder or a pattern", () => {
  const files = ["a", "b", "c", "d", "e", "f"];
  assert.equal(describeSource({ path: "a", files: ["a"] }), undefined);
  assert.equal(describeSource({ path: "x", files: ["a"] }), "x: one file, a");
  assert.equal(describeSource({ path: "a", files: ["a", "b"] }), "a: 2 files, a, b");
  assert.equal(
    describeSource({ path: "x", files: files.slice(0, 5) }),
    "x: 5 files, a, b, c, d, e",
  );
  assert.equal(describeSource({ path: "x", files }), "x: 6 files, a, b, c, d, e and 1 more");
});

Deno.test("findRows() finds files, folders and patterns as given, or below a folder", async () => {
  await using folder = await tempFolder();
  const before = Deno.cwd();
  Deno.chdir(folder.path);
  try {
    for (const name of ["mine", "data/set", "output/run", "data/mine"]) {
      await Deno.mkdir(name, { recursive: true });
    }
    for (
      const name of [
        "here.jsonl",
        "mine/a.jsonl",
        "data/set/b.jsonl",
        "output/run/c.csv",
        "data/here.jsonl",
      ]
    ) {
      await folder.write(name, "{}");
    }
    const find = (name: string, folders?: string[]): Promise<string> =>
      findRows(name, { flag: "--train-file", folders });
    for (
      const [name, found] of [
        ["here.jsonl", "here.jsonl"],
        ["mine", "mine"],
        ["*.jsonl", "*.jsonl"],
        ["set", "data/set"],
        ["set/b.jsonl", "data/set/b.jsonl"],
        ["s*/*.jsonl", "data/s*/*.jsonl"],
        ["run/*.csv", "output/run/*.csv"],
        ["run", "output/run"],
        // What says where it is stays as it is.
        ["./none", "./none"],
        ["data/none", "data/none"],
      ]
    ) {
      assert.equal(await find(name), found);
    }
    assert.equal(await find("b.jsonl", ["output", "data/set"]), "data/set/b.jsonl");
    await assert.rejects(find("none/*.csv"), {
      message: "Cannot find none/*.csv: there is no file none/*.csv or data/none/*.csv or " +
        "output/none/*.csv; give a file's path with --train-file",
    });
    const filesOf = async (path: string): Promise<readonly string[]> =>
      (await expandRows([path]))[0].files;
    assert.deepEqual(await filesOf("*.jsonl"), ["here.jsonl"]);
    assert.deepEqual(await filesOf("**/*.jsonl"), [
      ...["data/here.jsonl", "data/set/b.jsonl", "here.jsonl", "mine/a.jsonl"],
    ]);
    assert.deepEqual(await filesOf(`${folder.path}/mine/*`), [`${folder.path}/mine/a.jsonl`]);
  } finally {
    Deno.chdir(before);
  }
  assert.deepEqual(await expandRows(undefined), []);
});

Deno.test("expandRows() takes a file whose name looks like a pattern for itself", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a[1].jsonl", "{}");
  await folder.write("a1.jsonl", "{}");
  assert.deepEqual(await expandRows(path), [{ path, files: [path] }]);
});

Deno.test("expandRows() reads the one split that a folder has for either purpose", async () => {
  await using folder = await tempFolder();
  const path = folder.path;
  const file = await folder.write("test.jsonl", "{}");
  assert.deepEqual(await expandRows(path), [{ path, files: [file] }]);
  assert.deepEqual(await expandRows([path], "validation"), [{ path, files: [file] }]);
  assert.deepEqual(await splitsOfFolder(path), [{ name: "test", files: [file] }]);
  const train = await folder.write("train.jsonl", "{}");
  assert.deepEqual(await expandRows(path), [{ path, files: [train] }]);
  const dev = await folder.write("dev.jsonl", "{}");
  assert.deepEqual(await expandRows(path, "validation"), [{ path, files: [dev] }]);
  const names = (await splitsOfFolder(path)).map(({ name }) => name);
  assert.deepEqual(names.toSorted(), ["test", "train", "validation"]);
});

Deno.test("expandRows() takes up to 256 files of one name", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  const write = (n: number) => folder.write(`${String(n).padStart(3, "0")}.jsonl`, "{}");
  for (let n = 0; n < 256; n++) await write(n);
  const [{ files }] = await expandRows(path);
  assert.deepEqual([files.length, files[255]], [256, `${path}/255.jsonl`]);
  assert.equal((await expandRows(`${path}/*`))[0].files.length, 256);
  await write(256);
  for (const name of [path, `${path}/*`]) {
    await assert.rejects(expandRows(name), {
      message:
        `Cannot read ${name}: it stands for 257 files, more than 256, which are open at once; ` +
        "join them with deno task data",
    });
  }
});

Deno.test("expandRows() follows links within a folder alone, and no hidden names", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  const { path } = folder;
  await Deno.mkdir(`${path}/below/.git`, { recursive: true });
  await folder.write("below/.git/x.jsonl", "{}");
  await folder.write("below/.x.jsonl", "{}");
  await folder.write("below/a.jsonl", "{}");
  await Deno.symlink(`${path}/below/a.jsonl`, `${path}/b.jsonl`);
  // A link to a folder is passed over, wherever that lies.
  await Deno.symlink(`${path}/below`, `${path}/inside`);
  await Deno.symlink(other.path, `${path}/outside`);
  const [{ files }] = await expandRows(`${path}/**/*.jsonl`);
  assert.deepEqual(files, [`${path}/b.jsonl`, `${path}/below/a.jsonl`]);
  await Deno.symlink(`${path}/none`, `${path}/broken`);
  await assert.rejects(expandRows(path), {
    message: `Cannot read ${path}/broken: it is a link to nothing; copy the file, or remove it`,
  });
});
