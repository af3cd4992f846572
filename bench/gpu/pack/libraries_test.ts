import assert from "node:assert/strict";
import { tempFolder } from "../../../tests/support/temp_folder.ts";
import { chooseLibraries, type PackedLibraries } from "./libraries.ts";

async function choose(names: readonly string[], given = true): Promise<PackedLibraries> {
  await using folder = await tempFolder();
  for (const name of names) await folder.write(name, name);
  return await chooseLibraries({ folder: folder.path, given });
}

const PAIR = ["libonnxruntime.so", "libonnxruntime_providers_cuda.so"];

Deno.test("chooseLibraries() takes a given folder's libraries, and the core under one name", async () => {
  const { files, notes } = await choose([
    ...PAIR,
    "libonnxruntime.so.1",
    "libvulkan.so.1",
    "readme.txt",
  ]);
  assert.deepEqual([...files.keys()], [...PAIR, "libvulkan.so.1"]);
  assert.deepEqual(notes, []);
});

Deno.test("chooseLibraries() leaves stand-ins for CUDA out, and says so", async () => {
  const { files, notes } = await choose([...PAIR, "libcuda.so.1", "libcudart.so.13"]);
  assert.deepEqual([...files.keys()], PAIR);
  assert.match(notes.join(), /holds libcuda\.so\.1, which .*: only ONNX Runtime's own libraries/);
});

Deno.test("chooseLibraries() takes ONNX Runtime alone from a folder that it found", async () => {
  const { files, notes } = await choose(["libonnxruntime.so.1", "libother.so"], false);
  assert.deepEqual([...files.keys()], ["libonnxruntime.so"]);
  assert.match(notes.join(), /has no libonnxruntime_providers_cuda\.so: .* give --lib /);
});

Deno.test("chooseLibraries() refuses a folder without ONNX Runtime", async () => {
  await assert.rejects(choose(["libother.so"]), /^Error: Cannot pack ONNX Runtime: .* give --lib /);
});
