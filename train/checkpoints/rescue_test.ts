import assert from "node:assert/strict";
import { repositoryPath, runScript } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { verifyCheckpoint } from "./checkpoint.ts";
import { rescue } from "./rescue.ts";

const fill = async (staging: string): Promise<[]> => {
  await Deno.writeTextFile(`${staging}/weights`, "1 2 3");
  return [];
};

Deno.test("rescue() takes the first free name beside a folder, even where that one's parent is gone", async () => {
  await using folder = await tempFolder();
  const output = `${folder.path}/runs/a/`;
  for (const n of [1, 2]) {
    const { message } = await rescue(output, 7, fill);
    const path = `${folder.path}/runs/a-rescued-${n}/checkpoint-7`;
    assert.ok(message.includes(`update 7 is saved in ${path}: `), message);
    await verifyCheckpoint(path);
  }
});

Deno.test("rescue() saves within the output folder where the task may write nowhere else", async () => {
  await using folder = await tempFolder();
  const { stdout, stderr } = await runScript(
    `import { rescue } from "${repositoryPath("train/checkpoints/rescue.ts")}";
    const error = await rescue(Deno.args[0], 7, async (staging) => {
      await Deno.writeTextFile(staging + "/weights", "1 2 3");
      return [];
    });
    console.log(error.message);`,
    [`--allow-read=${folder.path}/output`, `--allow-write=${folder.path}/output`],
    [`${folder.path}/output`],
  );
  assert.ok(stdout.includes(`${folder.path}/output/rescued-1/checkpoint-7: `), stdout + stderr);
  await verifyCheckpoint(`${folder.path}/output/rescued-1/checkpoint-7`);
});

Deno.test("rescue() says both what was lost and why it could not be saved", async () => {
  await using folder = await tempFolder();
  const { message } = await rescue(`${folder.path}/a`, 7, () => Promise.reject(new Error("full")));
  assert.match(
    message,
    /was moved, removed or replaced.*, and update 7 could not be saved: .*full/,
  );
});
