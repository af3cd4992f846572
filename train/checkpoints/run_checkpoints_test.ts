import assert from "node:assert/strict";
import { fakeClock } from "../../tests/support/fake_clock.ts";
import { folderHashes } from "../../tests/support/folder_hashes.ts";
import { oneAtATime } from "../../tests/support/one_at_a_time.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { saveStub, trainerStub } from "../../tests/support/trainer_stub.ts";
import { withDeno } from "../../tests/support/with_deno.ts";
import type { SaveEvent } from "../events.ts";
import { listCheckpoints, MANIFEST, sha256 } from "./checkpoint.ts";
import { RunCheckpoints, type RunPosition } from "./run_checkpoints.ts";
import { formatTrainerState, initialState, type LoopState } from "./trainer_state.ts";

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
  let tries = 0;
  await assert.rejects(
    save(folder.path, (staging) => {
      tries++;
      return Deno.remove(staging, { recursive: true });
    }),
    /Cannot save checkpoint .*checkpoint-3: No such file.*model\.safetensors/,
  );
  // Once, and five times more.
  assert.equal(tries, 6);
});

const OPTIONS = {
  seed: 7,
  schedule: (step: number) => 1 / (step + 1),
  totalSteps: 9,
  epochs: 3,
  batchSize: 2,
  loggingSteps: 4,
  evalSteps: 5,
  saveSteps: 6,
};

/** A run of a stub that stands after so many updates. */
function at(step: number, logHistory: LoopState["logHistory"] = []): RunPosition {
  const state = { ...initialState(), step, epoch: 1, batch: 2, tokensSeen: 100, logHistory };
  return { state, epochFraction: step / 3 };
}

async function texts(directory: string): Promise<Record<string, string>> {
  const read: Record<string, string> = {};
  for await (const { name } of Deno.readDir(directory)) {
    if (name !== MANIFEST) read[name] = await Deno.readTextFile(`${directory}/${name}`);
  }
  return read;
}

const all = (events: AsyncIterable<SaveEvent>): Promise<SaveEvent[]> => Array.fromAsync(events);

Deno.test("a checkpoint holds the trainer's files, copies, texts in their place, and where the run stands", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  const copyFiles = [await other.write("merges.txt", "a b"), await other.write("vocab.json", "{}")];
  const directory = `${folder.path}/deep/output`;
  const facts = { seed: 7, packing: null };
  const trainer = trainerStub();
  const checkpoints = new RunCheckpoints(trainer, {
    ...OPTIONS,
    output: { directory, facts, copyFiles, texts: { "vocab.json": "own", "README.md": "card" } },
  });
  using clock = fakeClock();
  const { save } = trainer;
  Object.assign(trainer, {
    save(...args: Parameters<typeof save>) {
      clock.pass(1500);
      return save(...args);
    },
  });
  let events: SaveEvent[] = [];
  await oneAtATime(async () => events = await all(checkpoints.save(at(2), { goesOn: true })));
  const saved = `${directory}/checkpoint-2`;
  const written = await texts(saved);
  assert.deepEqual(written, {
    "model.safetensors": "after 0 updates",
    "optimizer.state": "after 0 updates",
    "merges.txt": "a b",
    "vocab.json": "own",
    "README.md": "card",
    "training_args.json": '{\n  "seed": 7,\n  "packing": null\n}\n',
    "scheduler.json": `{\n  "last_epoch": 2,\n  "next_lr": ${1 / 3}\n}\n`,
    "rng_state.json": '{\n  "seed": 7,\n  "epoch": 1,\n  "batch": 2\n}\n',
    "trainer_state.json": formatTrainerState(at(2).state, {
      ...OPTIONS,
      epochFraction: 2 / 3,
      parameters: 10,
    }),
  });
  const bytes = Object.values(written).reduce((sum, text) => sum + text.length, 0);
  assert.deepEqual(events, [
    { type: "save", step: 2, directory: saved, bytes, seconds: 1.5, waitedSeconds: 1.5 },
  ]);
});

Deno.test("a checkpoint of the model alone lacks what only a resumed run reads, and is not resumed", async () => {
  await using folder = await tempFolder();
  const output = { directory: folder.path, facts: {}, modelOnly: true };
  const checkpoints = new RunCheckpoints(trainerStub(), { ...OPTIONS, output });
  const [{ directory }] = await all(checkpoints.save(at(2), { goesOn: false }));
  assert.deepEqual(Object.keys(await texts(directory)).sort(), [
    ...["model.safetensors", "trainer_state.json", "training_args.json"],
  ]);
  await assert.rejects(checkpoints.resume(directory), {
    message:
      `Cannot resume from ${directory}: it was saved without the state of optimizer and data ` +
      "(--save-only-model); start from its weights with --model",
  });
});

Deno.test("a run is saved once as it stands, and again when it was evaluated or went on", async () => {
  await using folder = await tempFolder();
  const row = { epoch: 1, step: 2, eval_loss: 1, eval_token_loss: 1 };
  const checkpoints = new RunCheckpoints(trainerStub(), {
    ...OPTIONS,
    output: { directory: folder.path, facts: {} },
  });
  const steps = async (position: RunPosition) =>
    (await all(checkpoints.save(position, { goesOn: true }))).map(({ step }) => step);
  assert.deepEqual(await steps(at(2)), [2]);
  assert.deepEqual(await steps(at(2)), []);
  assert.deepEqual(await steps(at(2, [row])), [2]);
  assert.deepEqual(await steps(at(2, [row])), []);
  assert.deepEqual(await steps(at(3, [row])), [3]);
});

Deno.test("old checkpoints go when a new one is there, but for the best one and within the limit", async () => {
  await using folder = await tempFolder();
  const kept = async (saveTotalLimit: number | undefined, best?: number) => {
    const directory = `${folder.path}/${saveTotalLimit}-${best}`;
    const output = { directory, facts: {}, saveTotalLimit };
    const checkpoints = new RunCheckpoints(trainerStub(), { ...OPTIONS, output });
    for (const step of [1, 2, 3]) {
      const position = { ...at(step), best: best ? { step: best, value: 1, stale: 0 } : undefined };
      await all(checkpoints.save(position, { goesOn: true }));
    }
    return (await listCheckpoints(directory)).map(({ step }) => step);
  };
  assert.deepEqual(await kept(undefined), [1, 2, 3]);
  assert.deepEqual(await kept(0), [1, 2, 3]);
  assert.deepEqual(await kept(2), [2, 3]);
  assert.deepEqual(await kept(2, 1), [1, 3]);
});

Deno.test("a run without a folder gives its part of another process's checkpoint, once as it stands", async () => {
  const settled: number[] = [];
  const trainer = Object.assign(Object.create(trainerStub()), {
    settleSave: async () => {
      await Promise.resolve();
      settled.push(1);
    },
  });
  const checkpoints = new RunCheckpoints(trainer, OPTIONS);
  for (const step of [2, 2, 3]) {
    assert.deepEqual(await all(checkpoints.save(at(step), { goesOn: true })), []);
  }
  assert.equal(settled.length, 2);
  assert.equal(await checkpoints.find(2), undefined);
});

Deno.test("a run that is resumed stands where it was saved, and is not saved again there", async () => {
  await using folder = await tempFolder();
  const output = { directory: folder.path, facts: { seed: 7, max_steps: 9 } };
  const position = at(4);
  const { state } = position;
  await all(
    new RunCheckpoints(trainerStub(), { ...OPTIONS, output }).save(position, { goesOn: false }),
  );
  const trainer = trainerStub();
  const checkpoints = new RunCheckpoints(trainer, { ...OPTIONS, totalSteps: 4, output });
  const directory = `${folder.path}/checkpoint-4`;
  assert.equal(await checkpoints.find(4), directory);
  assert.equal(await checkpoints.find(3), undefined);
  assert.deepEqual(await checkpoints.resume(directory), {
    state,
    epochFraction: 4 / 3,
    totalSteps: 9,
  });
  assert.equal(trainer.step, 4);
  assert.deepEqual(await all(checkpoints.save(position, { goesOn: false })), []);
  await checkpoints.goBack(directory);
  assert.deepEqual(trainer.loaded, [directory]);
});

/** Takes files of a checkpoint away, or puts others there, as if it had been made so. */
async function remade(directory: string, change: Readonly<Record<string, string | undefined>>) {
  const path = `${directory}/${MANIFEST}`;
  const { step, files } = JSON.parse(await Deno.readTextFile(path));
  for (const [name, text] of Object.entries(change)) {
    if (text === undefined) {
      delete files[name];
      await Deno.remove(`${directory}/${name}`);
    } else {
      files[name] = { bytes: text.length, sha256: sha256(text) };
      await Deno.writeTextFile(`${directory}/${name}`, text);
    }
  }
  await Deno.writeTextFile(path, JSON.stringify({ step, files }));
}

Deno.test("a checkpoint of another run, step or length is refused, and nothing is loaded", async () => {
  await using folder = await tempFolder();
  const output = { directory: folder.path, facts: { seed: 7 } };
  const other = formatTrainerState(at(5).state, { ...OPTIONS, epochFraction: 1, parameters: 1 });
  const end = "give a checkpoint that ortune wrote, or start from its weights with --model";
  const c = `${folder.path}/checkpoint-4`;
  const cases: [object, Parameters<typeof remade>[1], string][] = [
    [
      { totalSteps: 3 },
      {},
      `Cannot resume from ${c}: it is of update 4, and the run is to make 3; give more with ` +
      "--max-steps or --num-train-epochs",
    ],
    [
      {},
      { "trainer_state.json": other },
      `Cannot resume from ${c}/trainer_state.json: it is of step 5, the checkpoint of step 4; resume ` +
      "from another one",
    ],
    [
      {},
      { "trainer_state.json": undefined },
      `Cannot resume from ${c}/trainer_state.json: it is missing; ${end}`,
    ],
    [
      {},
      { "training_args.json": undefined },
      `Cannot resume from ${c}/training_args.json: it is missing; ${end}`,
    ],
    [
      {},
      { "training_args.json": "{" },
      `Cannot resume from ${c}/training_args.json: it is no list of names and plain values; ${end}`,
    ],
    [
      {},
      { "training_args.json": '{"seed": 8}' },
      `Cannot resume from ${c}: it is of another run\n  seed: 8 there, 7 here\nGive the same ` +
      "arguments and data, or start a new run from its weights with --model",
    ],
  ];
  for (const [options, change, message] of cases) {
    await all(
      new RunCheckpoints(trainerStub(), { ...OPTIONS, output }).save(at(4), { goesOn: false }),
    );
    await remade(c, change);
    const trainer = trainerStub();
    const checkpoints = new RunCheckpoints(trainer, { ...OPTIONS, output, ...options });
    await assert.rejects(checkpoints.resume(c), { message });
    assert.equal(trainer.step, 0);
  }
  // Without a folder there are no facts to compare.
  const { totalSteps } = await new RunCheckpoints(trainerStub(), OPTIONS).resume(c);
  assert.equal(totalSteps, 9);
  await Deno.writeTextFile(`${c}/model.safetensors`, "");
  const trainer = trainerStub();
  const damaged = new RunCheckpoints(trainer, { ...OPTIONS, output });
  for (const use of [() => damaged.goBack(c), () => damaged.resume(c)]) {
    await assert.rejects(use(), /^Error: Cannot use checkpoint .*model\.safetensors has 0 bytes/);
  }
  assert.deepEqual([trainer.loaded, trainer.step], [[], 0]);
});

Deno.test("errors of reading that are not of a missing file are passed on", async () => {
  await using folder = await tempFolder();
  const output = { directory: folder.path, facts: {} };
  const checkpoints = new RunCheckpoints(trainerStub(), { ...OPTIONS, output });
  await all(checkpoints.save(at(4), { goesOn: false }));
  const denied = new Deno.errors.NotCapable("Requires read access");
  const { lstat, readTextFile } = Deno;
  const refuse = (name: string, own: (path: string) => Promise<unknown>) => (path: string) =>
    path.endsWith(name) ? Promise.reject(denied) : own(path);
  for (
    const functions of [
      { lstat: refuse("rng_state.json", lstat) },
      { readTextFile: refuse("training_args.json", readTextFile) },
    ]
  ) {
    await withDeno(functions, () =>
      assert.rejects(
        checkpoints.resume(`${folder.path}/checkpoint-4`),
        (cause) => cause === denied,
      ));
  }
});
