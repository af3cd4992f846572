import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { whyNoTorch } from "./python_parts.ts";

/** A program in a Python's place. */
async function stand(
  folder: { write: (name: string, text: string) => Promise<string> },
  script: string,
) {
  const path = await folder.write("python", `#!/bin/sh\n${script}\n`);
  await Deno.chmod(path, 0o755);
  return path;
}

Deno.test("whyNoTorch() names the parts that a Python lacks, and nothing where it lacks none", async () => {
  await using folder = await tempFolder();
  const lacking = await stand(folder, "echo torch peft");
  assert.equal(await whyNoTorch(lacking), `${lacking} has no torch, peft`);
  const whole = await stand(folder, "echo");
  assert.equal(await whyNoTorch(whole), undefined);
});

Deno.test("whyNoTorch() tells of a Python that is not there, or does not run", async () => {
  await using folder = await tempFolder();
  const none = `${folder.path}/none`;
  assert.equal(await whyNoTorch(none), `there is no ${none}`);
  const broken = await stand(folder, "echo 'broken installation' >&2; exit 1");
  assert.equal(await whyNoTorch(broken), `${broken} does not run: broken installation`);
});
