import assert from "node:assert/strict";
import { repositoryPath } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { CUBLAS_WORKSPACE_BYTES } from "./cublas_workspace.ts";

/** What a library of the process finds in its environment afterwards. */
async function configured(env: Record<string, string>): Promise<string> {
  await using folder = await tempFolder();
  const script = await folder.write(
    "script.ts",
    `import { limitCublasWorkspace } from "${repositoryPath("ort/runtime/cublas_workspace.ts")}";
    limitCublasWorkspace();
    const { symbols } = Deno.dlopen("libc.so.6", {
      getenv: { parameters: ["buffer"], result: "pointer" },
    });
    const value = symbols.getenv(new TextEncoder().encode("CUBLAS_WORKSPACE_CONFIG\\0"));
    console.log(value ? Deno.UnsafePointerView.getCString(value) : "unset");`,
  );
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    // FFI alone: the environment is not read by Deno.
    args: ["run", "--no-prompt", "--allow-ffi", script],
    env: { NO_COLOR: "1", ...env },
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  assert.ok(text, new TextDecoder().decode(stderr));
  return text;
}

Deno.test({
  name: "limitCublasWorkspace() sets what libraries read, unless somebody did before",
  ignore: Deno.build.os !== "linux",
  async fn() {
    assert.equal(await configured({}), ":4096:2:16:8");
    // Two buffers of 4096 KiB and eight of 16.
    assert.equal(CUBLAS_WORKSPACE_BYTES, 8_519_680);
    assert.equal(
      await configured({ CUBLAS_WORKSPACE_CONFIG: ":32768:1" }),
      ":32768:1",
    );
  },
});
