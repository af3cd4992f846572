import assert from "node:assert/strict";
import { tempFolder } from "../../../tests/support/temp_folder.ts";
import { LogFolder } from "./log_folder.ts";

Deno.test("LogFolder cuts a file at its limit and says so, once", async () => {
  await using folder = await tempFolder();
  const logs = new LogFolder(folder.path, 10);
  for (const text of ["12345", "67", "890ab", "cdef"]) logs.add("a.txt", text);
  logs.add("b.txt", "whole");
  const read = (name: string) => Deno.readTextFile(`${folder.path}/${name}`);
  assert.equal(await read("a.txt"), "1234567890\n... cut at 10 bytes\n");
  assert.equal(await read("b.txt"), "whole");
});

Deno.test("LogFolder writes an earlier call's files anew", async () => {
  await using folder = await tempFolder();
  new LogFolder(folder.path).add("a.txt", "old");
  const logs = new LogFolder(folder.path);
  logs.add("a.txt", "new");
  logs.add("a.txt", " text");
  assert.equal(await Deno.readTextFile(`${folder.path}/a.txt`), "new text");
});
