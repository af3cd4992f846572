import assert from "node:assert/strict";
import { readdir, readFile, truncate } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { keepUntil, setAside } from "./step_lines.ts";

Deno.test("setAside() moves a file that holds something in the place of an earlier one", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/log`;
  await setAside(path);
  await folder.write("log", "");
  await setAside(path);
  assert.deepEqual(await readdir(folder.path), ["log"]);
  await folder.write("log.previous", "older");
  await folder.write("log", "x");
  await setAside(path);
  assert.deepEqual(await readdir(folder.path), ["log.previous"]);
  assert.equal(await readFile(`${path}.previous`, "utf8"), "x");
  const file = await folder.write("file", "");
  await assert.rejects(setAside(`${file}/below`), { code: "ENOTDIR" });
});

Deno.test("keepUntil() keeps whole lines of steps up to the last one, and no other line", async () => {
  await using folder = await tempFolder();
  const lines = ['{"step":0}', '{"a":[1],"step":4}', '{"step":5,"b":"x"}', '{"step":4.5}'];
  const others = [
    '{"step":6}',
    '{"step":"4"}',
    '{"a":1}',
    "[4]",
    "4",
    "null",
    "",
    "{",
    '{"step":3',
  ];
  const path = await folder.write("log", [...lines, ...others].join("\n"));
  await keepUntil(path, 5);
  assert.equal(await readFile(path, "utf8"), lines.map((line) => `${line}\n`).join(""));
  await keepUntil(path, 4);
  assert.equal(await readFile(path, "utf8"), `${lines[0]}\n${lines[1]}\n`);
  assert.deepEqual(await readdir(folder.path), ["log"]);
});

Deno.test("keepUntil() makes no file, and refuses one of over 256 MiB", async () => {
  await using folder = await tempFolder();
  await keepUntil(`${folder.path}/none`, 3);
  assert.deepEqual(await readdir(folder.path), []);
  const path = await folder.write("log", "");
  await truncate(path, 2 ** 28 + 1);
  await assert.rejects(keepUntil(path, 3), {
    name: "RangeError",
    message: `Cannot resume ${path}: 268435457 bytes exceed 268435456; move the file away`,
  });
  assert.deepEqual(await readdir(folder.path), ["log"]);
});
