import assert from "node:assert/strict";
import { folderHashes } from "../../tests/support/folder_hashes.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { saveStub, trainerStub } from "../../tests/support/trainer_stub.ts";
import { listCheckpoints } from "./checkpoint.ts";
import { RunCheckpoints } from "./run_checkpoints.ts";
import { initialState } from "./trainer_state.ts";

/** Saves update 3; `onSave` is called in the middle of each try, with the staged folder. */
async function save(
  directory: string,
  onSave: (staging: string) => Promise<void>,
  isHeld?: () => Promise<boolean>,
): Promise<void> {
  const trainer = Object.assign(Object.create(trainerStub()), {
    save: async (staging: string) => {
      await onSave(staging);
      return await saveStub(staging, 3);
    },
  });
  const checkpoints = new RunCheckpoints(trainer, {
    output: { directory, facts: { seed: 7 }, isHeld },
    seed: 7,
    schedule: () => 1e-3,
    totalSteps: 3,
    epochs: 1,
    batchSize: 1,
    loggingSteps: 1,
    evalSteps: 0,
    saveSteps: 1,
  });
  const position = { state: { ...initialState(), step: 3 }, epochFraction: 1 };
  await Array.fromAsync(checkpoints.save(position, { goesOn: false }));
}

Deno.test("a save whose files are removed while it writes begins anew", async () => {
  await using folder = await tempFolder();
  let tries = 0;
  const [vanishing, whole] = [`${folder.path}/vanishing`, `${folder.path}/whole`];
  await save(vanishing, async (staging) => {
    if (++tries < 3) await Deno.remove(staging, { recursive: true });
  });
  await save(whole, () => Promise.resolve());
  assert.equal(tries, 3);
  assert.deepEqual(
    await folderHashes(`${vanishing}/checkpoint-3`),
    await folderHashes(`${whole}/checkpoint-3`),
  );
});

Deno.test("a save whose files are removed before their folder is goes beside it", async () => {
  await using folder = await tempFolder();
  const output = `${folder.path}/output`;
  await Deno.mkdir(output);
  let held = 4;
  await assert.rejects(
    save(
      output,
      async (staging) => {
        if (staging.startsWith(`${output}/`)) await Deno.remove(staging, { recursive: true });
      },
      () => Promise.resolve(held-- > 0),
    ),
    /update 3 is saved in .*output-rescued-1\/checkpoint-3/,
  );
  const [saved] = await listCheckpoints(`${output}-rescued-1`);
  assert.equal(saved.step, 3);
});

Deno.test("a save that always lacks a file says which", async () => {
  await using folder = await tempFolder();
  await assert.rejects(
    save(folder.path, (staging) => Deno.remove(staging, { recursive: true })),
    /Cannot save checkpoint .*checkpoint-3: No such file.*model\.safetensors/,
  );
});
