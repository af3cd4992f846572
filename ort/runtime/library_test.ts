import assert from "node:assert/strict";
import { repositoryPath, runDeno } from "../../tests/support/run_script.ts";
import { findLibrary, libraryFile } from "./library.ts";

Deno.test("libraryFile() names the library of each platform", () => {
  const expected = {
    "linux x86_64": "linux/x64/libonnxruntime.so.1",
    "linux aarch64": "linux/arm64/libonnxruntime.so.1",
    "darwin aarch64": "darwin/arm64/libonnxruntime.1.dylib",
    "windows x86_64": "win32/x64/onnxruntime.dll",
    "windows aarch64": "win32/arm64/onnxruntime.dll",
  };
  for (const [platform, file] of Object.entries(expected)) {
    const [os, arch] = platform.split(" ");
    assert.equal(libraryFile({ os, arch }), `bin/napi-v6/${file}`);
  }
});

Deno.test("the package really holds the library of every platform that is named", () => {
  const here = findLibrary();
  const root = here.slice(0, here.indexOf("bin/napi-v6"));
  for (const os of ["linux", "darwin", "windows"]) {
    for (const arch of os === "darwin" ? ["aarch64"] : ["x86_64", "aarch64"]) {
      assert.ok(Deno.statSync(root + libraryFile({ os, arch })).size > 1e6, `${os} ${arch}`);
    }
  }
});

Deno.test("libraryFile() says what there is where a platform has no library", () => {
  for (const [os, arch] of [["freebsd", "x86_64"], ["darwin", "x86_64"]]) {
    assert.throws(() => libraryFile({ os, arch }), {
      name: "Error",
      message: `Cannot find ONNX Runtime for ${os}-${arch}: onnxruntime-node 1.30.0 ships ` +
        "linux-x86_64, linux-aarch64, darwin-aarch64, windows-x86_64, windows-aarch64; set " +
        "ORTUNE_ORT_LIB to a build of your own",
    });
  }
});

Deno.test("findLibrary() lets an override win", () => {
  assert.equal(findLibrary("/opt/mine.so"), "/opt/mine.so");
  assert.notEqual(findLibrary(""), "");
});

for (const folder of ["none", "auto"]) {
  Deno.test(`findLibrary() finds the library with nodeModulesDir ${folder}`, async () => {
    const dir = await Deno.makeTempDir();
    try {
      await Deno.copyFile(repositoryPath("ort/runtime/library.ts"), `${dir}/library.ts`);
      await Deno.copyFile(repositoryPath("deno.lock"), `${dir}/deno.lock`);
      const { imports } = JSON.parse(await Deno.readTextFile(repositoryPath("deno.json")));
      await Deno.writeTextFile(
        `${dir}/deno.json`,
        JSON.stringify({ imports, nodeModulesDir: folder }),
      );
      await Deno.writeTextFile(
        `${dir}/main.ts`,
        'import { findLibrary } from "./library.ts";\nconsole.log(findLibrary());\n',
      );
      const { code, stdout, stderr } = await runDeno(
        ["run", "-A", "--cached-only", "main.ts"],
        dir,
      );
      assert.equal(code, 0, stderr);
      assert.ok(Deno.statSync(stdout).isFile, stdout);
      assert.equal(stdout.includes("node_modules"), folder === "auto", stdout);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}
