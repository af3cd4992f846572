import assert from "node:assert/strict";
import { soloComm } from "../../comm/solo_comm.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { openRunFolder } from "./run_folder.ts";

/** A folder with checkpoints of some steps. */
async function withCheckpoints(...steps: readonly number[]): Promise<TempFolder> {
  const folder = await tempFolder();
  for (const step of steps) {
    await Deno.mkdir(`${folder.path}/out/checkpoint-${step}`, { recursive: true });
  }
  return folder;
}

/** Opens `out` of a folder, and gives what of it is to be gone on from and deleted. */
async function open(
  { path }: TempFolder,
  more: Partial<Parameters<typeof openRunFolder>[0]> = {},
): Promise<{ resumeFrom?: string; earlier: number[] }> {
  const args = { model: `${path}/model`, outputDir: `${path}/out`, ...more };
  using folder = await openRunFolder(args, soloComm());
  assert.equal(folder.directory, `${path}/out`);
  assert.ok(await folder.isHeld());
  await assert.rejects(openRunFolder(args, soloComm()), /another trainer/);
  const { resumeFrom, earlier } = folder;
  return { resumeFrom, earlier: earlier.map(({ step }) => step) };
}

Deno.test("openRunFolder() makes and locks a folder, and frees it in the end or where it is refused", async () => {
  await using folder = await tempFolder();
  assert.deepEqual(await open(folder), { resumeFrom: undefined, earlier: [] });
  const resume = { resumeFromCheckpoint: true } as const;
  for (let n = 0; n < 2; n++) {
    await assert.rejects(open(folder, resume), {
      message: `Cannot resume: ${folder.path}/out has no checkpoint-N folder; leave ` +
        "--resume-from-checkpoint out to start a new run",
    });
  }
  assert.deepEqual(await open(folder), { resumeFrom: undefined, earlier: [] });
});

Deno.test("openRunFolder() goes on from the newest checkpoint, or from one that no later ones follow", async () => {
  await using folder = await withCheckpoints(9, 10);
  const { path } = folder;
  const newest = `${path}/out/checkpoint-10`;
  for (
    const asked of [
      true,
      newest,
      `${newest}/`,
      "elsewhere/checkpoint-11",
      "elsewhere/best",
    ] as const
  ) {
    const resumeFrom = asked === true ? newest : asked;
    assert.deepEqual(await open(folder, { resumeFromCheckpoint: asked }), {
      resumeFrom,
      earlier: [],
    });
  }
  const earlier = `${path}/out/checkpoint-9//`;
  await assert.rejects(open(folder, { resumeFromCheckpoint: earlier }), {
    message:
      `Cannot resume from ${earlier} in ${path}/out: it holds the later checkpoint-10; move them away, ` +
      "or give another --output-dir",
  });
  await assert.rejects(open(folder, { resumeFromCheckpoint: "elsewhere/checkpoint-8" }), {
    message:
      `Cannot resume from elsewhere/checkpoint-8 in ${path}/out: it holds the later checkpoint-9, ` +
      "checkpoint-10; move them away, or give another --output-dir",
  });
});

Deno.test("openRunFolder() deletes checkpoints of an earlier run only where it is told to", async () => {
  await using folder = await withCheckpoints(2, 10);
  const { path } = folder;
  await assert.rejects(open(folder), {
    message: `Cannot start a new run in ${path}/out: it holds checkpoint-2, checkpoint-10; pass ` +
      "--resume-from-checkpoint to go on, another --output-dir, or --overwrite-output-dir to delete them",
  });
  const overwrite = { overwriteOutputDir: true };
  assert.deepEqual(await open(folder, overwrite), { resumeFrom: undefined, earlier: [2, 10] });
  const lora = { initAdapter: undefined } as never;
  assert.deepEqual(await open(folder, { ...overwrite, lora }), {
    resumeFrom: undefined,
    earlier: [2, 10],
  });
});

Deno.test("openRunFolder() deletes nothing that the run starts from", async () => {
  await using folder = await withCheckpoints(2, 10);
  const { path } = folder;
  const overwrite = { overwriteOutputDir: true };
  const refusal = (from: string) => ({
    message:
      `Cannot overwrite ${path}/out: the run starts from ${from}, which would be deleted; give another ` +
      "--output-dir",
  });
  const model = `${path}/out/checkpoint-10`;
  await assert.rejects(open(folder, { ...overwrite, model }), refusal(model));
  const initAdapter = `${path}/out/../out/checkpoint-2`;
  const lora = { initAdapter } as never;
  await assert.rejects(open(folder, { ...overwrite, lora }), refusal(initAdapter));
});

Deno.test("openRunFolder() removes what an interrupted save left", async () => {
  await using folder = await withCheckpoints(2);
  const left = `${folder.path}/out/.staging-checkpoint-4`;
  await Deno.mkdir(left);
  await open(folder, { resumeFromCheckpoint: true });
  await assert.rejects(Deno.stat(left), Deno.errors.NotFound);
});

Deno.test("openRunFolder() is opened by the first of several processes, which tells the others", async () => {
  await using folder = await withCheckpoints(3);
  const { path } = folder;
  const args = { model: `${path}/model`, outputDir: `${path}/out` };
  const resume = { ...args, resumeFromCheckpoint: true } as const;
  const [first, second] = await Promise.all(
    localComms(2).map((comm) => openRunFolder(resume, comm)),
  );
  const resumeFrom = `${path}/out/checkpoint-3`;
  for (const each of [first, second]) {
    assert.deepEqual([each.directory, each.resumeFrom, each.earlier], [
      `${path}/out`,
      resumeFrom,
      [],
    ]);
    assert.ok(await each.isHeld());
  }
  // The lock is the first one's.
  second[Symbol.dispose]();
  await assert.rejects(openRunFolder(resume, soloComm()), /another trainer/);
  first[Symbol.dispose]();
  const overwrite = { ...args, overwriteOutputDir: true };
  const [one, two] = await Promise.all(localComms(2).map((comm) => openRunFolder(overwrite, comm)));
  assert.deepEqual([one.earlier.length, two.earlier.length, two.resumeFrom], [1, 0, undefined]);
  one[Symbol.dispose]();
  two[Symbol.dispose]();
});
