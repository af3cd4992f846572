import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { cachedCompile } from "./cubin_cache.ts";
import type { Compile } from "./nvrtc.ts";

/** Answers with its own arguments, and counts the calls. */
function fakeCompiler(): { compile: Compile; calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    compile: ({ name, code }, architecture) => {
      calls.push(`${name} ${code} ${architecture}`);
      return Promise.resolve(new TextEncoder().encode(`image of ${code} for ${architecture}`));
    },
  };
}

const text = (image: Uint8Array): string => new TextDecoder().decode(image);

Deno.test("cachedCompile() compiles once for each source, architecture and compiler", async () => {
  await using folder = await tempFolder();
  const { compile, calls } = fakeCompiler();
  for (let round = 0; round < 2; round++) {
    for (const version of ["13.0", "12.8"]) {
      // Made anew: another process.
      const cached = cachedCompile(compile, version, `${folder.path}/made/here`);
      for (const code of ["a", "b"]) {
        for (const architecture of ["sm_80", "sm_90"]) {
          const image = await cached({ name: "kernel", code }, architecture);
          assert.equal(text(image), `image of ${code} for ${architecture}`);
        }
      }
    }
  }
  assert.equal(calls.length, 8);
});

Deno.test("cachedCompile() compiles anew where a kept file is torn or not its own", async () => {
  await using folder = await tempFolder();
  const { compile, calls } = fakeCompiler();
  const cached = cachedCompile(compile, "13.0", folder.path);
  const source = { name: "kernel", code: "a" };
  await cached(source, "sm_90");
  const [file] = await Array.fromAsync(Deno.readDir(folder.path));
  const path = `${folder.path}/${file.name}`;
  const whole = await Deno.readFile(path);
  const flipped = whole.slice();
  flipped[flipped.length - 1] ^= 1;
  for (const bytes of [whole.slice(0, -1), whole.slice(0, 16), new Uint8Array(), flipped]) {
    await Deno.writeFile(path, bytes);
    assert.equal(text(await cached(source, "sm_90")), "image of a for sm_90");
    assert.deepEqual(await Deno.readFile(path), whole);
  }
  assert.equal(calls.length, 5);
});

Deno.test("cachedCompile() works without a folder it can write, and keeps no failures", async () => {
  await using folder = await tempFolder();
  const file = await folder.write("file", "no folder");
  const { compile } = fakeCompiler();
  const source = { name: "kernel", code: "a" };
  const image = await cachedCompile(compile, "13.0", `${file}/below`)(source, "sm_90");
  assert.equal(text(image), "image of a for sm_90");

  const failing = cachedCompile(() => Promise.reject(new Error("wrong")), "13.0", folder.path);
  await assert.rejects(failing(source, "sm_90"), /wrong/);
  assert.deepEqual((await Array.fromAsync(Deno.readDir(folder.path))).map(({ name }) => name), [
    "file",
  ]);
});

Deno.test("a kept file is named by all that it depends on, and begins with its checksum", async () => {
  await using folder = await tempFolder();
  const { compile } = fakeCompiler();
  const image = await cachedCompile(compile, "13.0", folder.path)(
    { name: "k", code: "a" },
    "sm_90",
  );
  const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");
  const key = sha256('["k","a","sm_90","13.0"]').slice(0, 32);
  const files = await Array.fromAsync(Deno.readDir(folder.path), ({ name }) => name);
  assert.deepEqual(files, [`k-sm_90-${key}.cubin`]);
  const kept = await Deno.readFile(`${folder.path}/${files[0]}`);
  assert.equal(kept.toHex(), sha256(image) + image.toHex());
});
