import assert from "node:assert/strict";
import { repositoryPath } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { kernelCacheDir } from "./kernel_cache_dir.ts";

Deno.test("kernelCacheDir() is beside the output, for all runs there", () => {
  assert.equal(kernelCacheDir("output/tiny"), "output/.kernels");
  assert.equal(kernelCacheDir("/data/runs/first"), "/data/runs/.kernels");
  assert.equal(kernelCacheDir("output"), "output/.kernels");
  assert.equal(kernelCacheDir("/runs"), "/runs/.kernels");
});

Deno.test("kernelCacheDir() is in the output where only that may be written", async () => {
  await using folder = await tempFolder();
  const script = await folder.write(
    "script.ts",
    `import { kernelCacheDir } from "${repositoryPath("train/runs/kernel_cache_dir.ts")}";
    console.log(kernelCacheDir("runs/first"), kernelCacheDir("output/first"));`,
  );
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-write=runs/first,output", script],
    cwd: folder.path,
    env: { NO_COLOR: "1" },
  }).output();
  const [told, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.equal(told, "runs/first/.kernels output/.kernels\n", errors);
});
