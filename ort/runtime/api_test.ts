import assert from "node:assert/strict";
import { repositoryPath, runScript } from "../../tests/support/run_script.ts";
import { openApi } from "./api.ts";
import { findLibrary } from "./library.ts";

Deno.test("openApi() answers the release of the library", () => {
  assert.match(openApi(findLibrary()).version, /^1\.\d+\.\d+$/);
});

Deno.test("openApi() says in one line that a library is missing or is none", () => {
  for (const path of ["/nowhere/libonnxruntime.so", repositoryPath("deno.json")]) {
    assert.throws(() => openApi(path), (error: Error) => {
      assert.ok(error.message.startsWith(`Cannot open ONNX Runtime at ${path}: `), error.message);
      assert.match(
        error.message,
        /; reinstall with `deno install`, or set ORTUNE_ORT_LIB to the path of libonnxruntime$/,
      );
      assert.ok(!error.message.includes("\n"), error.message);
      return true;
    });
  }
});

/** Compiles a C library, or answers undefined where there is no compiler. */
async function compile(dir: string, source: string): Promise<string | undefined> {
  await Deno.writeTextFile(`${dir}/fake.c`, source);
  const path = `${dir}/libfake.so`;
  try {
    const { success } = await new Deno.Command("gcc", {
      args: ["-shared", "-fPIC", "-o", path, `${dir}/fake.c`],
    }).output();
    return success ? path : undefined;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
}

// An OrtApiBase of a release before the table version that ortune asks for.
const OLD_LIBRARY = `
  #include <stddef.h>
  #include <stdint.h>
  static const void* get_api(uint32_t version) { return version > 10 ? NULL : &get_api; }
  static const char* get_version(void) { return "1.10.0"; }
  static const struct { const void* (*api)(uint32_t); const char* (*version)(void); } base =
    { get_api, get_version };
  const void* OrtGetApiBase(void) { return &base; }
`;

const compiler = await new Deno.Command("gcc", { args: ["--version"], stdout: "null" }).output()
  .then(({ success }) => success, () => false);

Deno.test({
  name: `openApi() says that a library is too old${compiler ? "" : " (skipped: no gcc)"}`,
  ignore: !compiler,
  fn: async () => {
    const dir = await Deno.makeTempDir();
    try {
      const path = await compile(dir, OLD_LIBRARY);
      assert.ok(path);
      assert.throws(() => openApi(path), {
        name: "Error",
        message: `Cannot use ONNX Runtime 1.10.0 at ${path}: ortune needs 1.22 or newer; unset ` +
          "ORTUNE_ORT_LIB to use the one from npm:onnxruntime-node",
      });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

const OPEN = `
  import { Runtime } from "${repositoryPath("ort/runtime/runtime.ts")}";
  try {
    using runtime = new Runtime({ threads: 1 });
    console.log("opened", runtime.api.version);
  } catch (error) {
    console.log(String(error));
  }
`;

Deno.test("ONNX Runtime opens with --allow-ffi and nothing else", async () => {
  const { stdout, stderr } = await runScript(OPEN, ["--allow-ffi"]);
  assert.match(stdout, /^opened 1\./, stderr);
});

Deno.test("a missing or path-scoped --allow-ffi is answered by what to do, in one line", async () => {
  for (const permissions of [[], [`--allow-ffi=${findLibrary()}`], ["--deny-ffi"]]) {
    const { stdout, stderr } = await runScript(OPEN, permissions);
    assert.equal(
      stdout,
      "Error: Cannot call ONNX Runtime: native code needs --allow-ffi without a path (Deno refuses " +
        "function pointers under --allow-ffi=PATH); add --allow-ffi to the command",
      stderr,
    );
  }
});
