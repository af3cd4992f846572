import assert from "node:assert/strict";
import { recordFiles } from "../../tests/support/record_files.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { refuseOverwrite, writeTogether } from "./write_split.ts";

async function names(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
}

Deno.test("refuseOverwrite() refuses what is there, also a link to nowhere, unless told to", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a", "1");
  await Deno.symlink("nowhere", `${folder.path}/link`);
  for (const there of [path, `${folder.path}/link`]) {
    await assert.rejects(refuseOverwrite([`${folder.path}/none`, there], false), {
      message:
        `Cannot write ${there}: it exists already. Give --overwrite to replace it, or another --output-dir`,
    });
    await refuseOverwrite([there], true);
  }
  await refuseOverwrite([`${folder.path}/none`], false);
  // What cannot be looked at is not taken for missing.
  await assert.rejects(
    refuseOverwrite([`${path}/b`], false),
    (error: Error) => !/exists/.test(error.message),
  );
});

Deno.test("writeTogether() writes files whole and synced before it renames any", async () => {
  await using folder = await tempFolder();
  const [a, b] = ["a", "b"].map((name) => `${folder.path}/${name}`);
  await Deno.writeTextFile(b, "old");
  // Over a block of 64 Ki characters, and exactly one.
  const long = ["x".repeat(65_535), "é", "y".repeat(65_536), "z"];
  using record = await recordFiles();
  await writeTogether([{ path: a, parts: long }, { path: b, parts: [] }]);
  const last = record.calls.findLastIndex((call) => call.startsWith("sync "));
  const renamed = record.calls.findIndex((call) => /rename [ab]\.RANDOM\.new to [ab]$/.test(call));
  assert.ok(last < renamed || renamed === -1, record.calls.join("\n"));
  assert.equal(await Deno.readTextFile(a), long.join(""));
  assert.equal(await Deno.readTextFile(b), "");
  assert.deepEqual(await names(folder.path), ["a", "b"]);
});

Deno.test("writeTogether() leaves what was there where a part cannot be made, or a file not be moved", async () => {
  await using folder = await tempFolder();
  const [a, b, c] = ["a", "b", "c"].map((name) => `${folder.path}/${name}`);
  await Deno.writeTextFile(a, "old");
  const failing = function* (): Generator<string> {
    yield "new";
    throw new Error("no more");
  };
  await assert.rejects(
    writeTogether([{ path: a, parts: ["new"] }, { path: b, parts: failing() }]),
    { message: "no more" },
  );
  assert.deepEqual([await names(folder.path), await Deno.readTextFile(a)], [["a"], "old"]);
  await Deno.writeTextFile(c, "kept");
  const { rename } = Deno;
  Deno.rename = async (from, to) => {
    if (to === c && `${from}`.endsWith(".new")) throw new Error("full");
    await rename(from, to);
  };
  try {
    await assert.rejects(
      writeTogether([{ path: a, parts: ["new"] }, { path: b, parts: ["new"] }, {
        path: c,
        parts: ["new"],
      }]),
    );
  } finally {
    Deno.rename = rename;
  }
  assert.deepEqual([
    await names(folder.path),
    await Deno.readTextFile(a),
    await Deno.readTextFile(c),
  ], [
    ["a", "c"],
    "old",
    "kept",
  ]);
});
