import assert from "node:assert/strict";
import { repositoryPath, runScript } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { withDeno } from "../../tests/support/with_deno.ts";
import { verifyCheckpoint } from "./checkpoint.ts";
import { assertHeld, rescue } from "./rescue.ts";

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
    `import { assertHeld, rescue } from "${repositoryPath("train/checkpoints/rescue.ts")}";
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

Deno.test("rescue() names the folder to go on in, and its cause where there is none", async () => {
  await using folder = await tempFolder();
  const output = `${folder.path}/a`;
  const lost = `Cannot go on training into ${output}: the folder was moved, removed or replaced ` +
    "while the run wrote into it";
  const saved = await rescue(output, 7, fill);
  assert.equal(
    saved.message,
    `${lost}; update 7 is saved in ${output}-rescued-1/checkpoint-7: put it among the earlier ` +
      `checkpoints, or give --output-dir ${output}-rescued-1, and resume with --resume-from-checkpoint`,
  );
  const full = new Error("full");
  const failed = await rescue(output, 7, () => Promise.reject(full));
  assert.equal(
    failed.message,
    `${lost}, and update 7 could not be saved: Cannot save checkpoint ${output}-rescued-2/` +
      "checkpoint-7: full; earlier checkpoints are untouched. Free space or give another " +
      "--output-dir, and resume",
  );
  assert.equal((failed.cause as Error).cause, full);
});

Deno.test("rescue() looks at 999 names, and says so where all are taken", async () => {
  const tried: string[] = [];
  const taken = new Deno.errors.AlreadyExists("File exists");
  const mkdir = (path: string, options?: Deno.MkdirOptions) => {
    if (options?.recursive) return Promise.resolve();
    tried.push(path);
    return Promise.reject(taken);
  };
  await withDeno({ mkdir }, async () => {
    assert.match(
      (await rescue("runs/a//", 7, fill)).message,
      /could not be saved: runs\/a-rescued-1 to runs\/a-rescued-999 are there already; move them away$/,
    );
  });
  assert.deepEqual(tried, Array.from({ length: 999 }, (_, i) => `runs/a-rescued-${i + 1}`));
  await withDeno({ mkdir: () => Promise.reject(new Error("read-only")) }, async () => {
    assert.match((await rescue("a", 7, fill)).message, /could not be saved: read-only$/);
  });
});

Deno.test("assertHeld() throws where the folder is the run's no more", async () => {
  await assertHeld(() => Promise.resolve(true));
  await assert.rejects(assertHeld(() => Promise.resolve(false)), {
    message: "the folder was moved or removed",
  });
});
