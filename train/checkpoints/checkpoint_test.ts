import assert from "node:assert/strict";
import { basename } from "node:path";
import { oneAtATime } from "../../tests/support/one_at_a_time.ts";
import { recordFiles } from "../../tests/support/record_files.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { withDeno } from "../../tests/support/with_deno.ts";
import {
  hashFile,
  listCheckpoints,
  MANIFEST,
  removeCheckpoint,
  rotateCheckpoints,
  sha256,
  sweepStaging,
  syncFolder,
  verifyCheckpoint,
  writeCheckpoint,
} from "./checkpoint.ts";

async function checkpoint(output: string, step = 6): Promise<string> {
  const { directory } = await writeCheckpoint(output, step, async (staging) => {
    for (const name of ["model.safetensors", "optimizer.state"]) {
      await Deno.writeTextFile(`${staging}/${name}`, name);
    }
    return [];
  });
  return directory;
}

async function names(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
}

interface Manifest {
  step: unknown;
  files: Record<string, unknown>;
}

const SHA = "0".repeat(64);

/** Changes of a manifest, and what is said of each. */
const CRAFTED: Readonly<Record<string, readonly [(manifest: Manifest) => unknown, RegExp]>> = {
  "only the files": [({ files }) => files, /missing or broken;/],
  "no files": [(m) => ({ ...m, files: {} }), /broken, it lists no file/],
  "a list of files": [(m) => ({ ...m, files: [] }), /missing or broken;/],
  "no optimizer": [
    ({ step, files }) => ({ step, files: { "model.safetensors": files["model.safetensors"] } }),
    /optimizer\.state is not in its manifest\.json/,
  ],
  "a file that is not there": [
    ({ step, files }) => ({ step, files: { ...files, other: { bytes: 0, sha256: SHA } } }),
    /other is missing/,
  ],
  "another step": [(m) => ({ ...m, step: 7 }), /its manifest\.json is of step 7/],
  "no step": [({ files }) => ({ files }), /its step is nothing/],
  "a step of text": [(m) => ({ ...m, step: "6" }), /its step is string "6"/],
  ...Object.fromEntries(
    ["../outside", "/etc/passwd", "a/b", "a\\b", ".", "..", "", "a\0b", MANIFEST, "Ｆ"].map((
      name,
    ) => [
      `the name ${JSON.stringify(name)}`,
      [
        ({ step, files }: Manifest) => ({
          step,
          files: { ...files, [name]: { bytes: 0, sha256: SHA } },
        }),
        /is no name of a checkpoint's file/,
      ],
    ]),
  ),
  ...Object.fromEntries(
    [
      null,
      3,
      "x",
      [],
      {},
      { bytes: 1 },
      { sha256: SHA },
      { bytes: 17, sha256: SHA + "0" },
      { bytes: 17, sha256: "g" + SHA.slice(1) },
      { bytes: "1", sha256: SHA },
      { bytes: -1, sha256: SHA },
      {
        bytes: 1,
        sha256: 3,
      },
    ].map((file) => [
      `a file that is ${JSON.stringify(file)}`,
      [
        ({ step, files }: Manifest) => ({ step, files: { ...files, "model.safetensors": file } }),
        /model\.safetensors lacks a count of bytes or a sha256/,
      ],
    ]),
  ),
};

for (const [what, [change, message]] of Object.entries(CRAFTED)) {
  Deno.test(`verifyCheckpoint() refuses a manifest with ${what}`, async () => {
    await using folder = await tempFolder();
    const directory = await checkpoint(folder.path);
    await folder.write("outside", "");
    const manifest = JSON.parse(await Deno.readTextFile(`${directory}/${MANIFEST}`));
    await Deno.writeTextFile(`${directory}/${MANIFEST}`, JSON.stringify(change(manifest)));
    await assert.rejects(verifyCheckpoint(directory), ({ message: text }: Error) => {
      assert.match(text, message);
      return text.startsWith(`Cannot use checkpoint ${directory}: `);
    });
  });
}

Deno.test("verifyCheckpoint() accepts none of a manifest's single-bit flips", async () => {
  await using folder = await tempFolder();
  const directory = await checkpoint(folder.path);
  const bytes = await Deno.readFile(`${directory}/${MANIFEST}`);
  let accepted = 0;
  // One of each byte, not the same in neighbours.
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] ^= 1 << (3 * at % 8);
    await Deno.writeFile(`${directory}/${MANIFEST}`, bytes);
    await verifyCheckpoint(directory).then(() => accepted++, (cause) => {
      assert.match(cause.message, /^Cannot use checkpoint /);
    });
    bytes[at] ^= 1 << (3 * at % 8);
  }
  assert.equal(accepted, 0);
  await Deno.writeFile(`${directory}/${MANIFEST}`, bytes);
  assert.equal(await verifyCheckpoint(directory), 6);
});

Deno.test("verifyCheckpoint() refuses links and files of others, but for what file managers leave", async () => {
  await using folder = await tempFolder();
  const directory = await checkpoint(folder.path);
  await Deno.writeTextFile(`${directory}/.DS_Store`, "");
  assert.equal(await verifyCheckpoint(directory), 6);
  await Deno.writeTextFile(`${directory}/scheduler.json`, "{}");
  await assert.rejects(verifyCheckpoint(directory), {
    message:
      `Cannot use checkpoint ${directory}: scheduler.json is not in its manifest.json; move it ` +
      "away; resume from an earlier one",
  });
  await Deno.remove(`${directory}/scheduler.json`);
  const outside = await folder.write("outside", "model.safetensors");
  await Deno.remove(`${directory}/model.safetensors`);
  await Deno.symlink(outside, `${directory}/model.safetensors`);
  await assert.rejects(verifyCheckpoint(directory), /model\.safetensors is a link/);
});

Deno.test("verifyCheckpoint() takes a checkpoint under a name of its owner's choice", async () => {
  await using folder = await tempFolder();
  await Deno.rename(await checkpoint(folder.path), `${folder.path}/best`);
  assert.equal(await verifyCheckpoint(`${folder.path}/best`), 6);
});

Deno.test("sweepStaging() puts back what was replaced, and touches no name that is not ortune's", async () => {
  await using folder = await tempFolder();
  const ours = ["checkpoint-3", "doomed-2", "replaced-6", "run.json", "report.html"];
  const others = ["replaced-abc", "replaced-007", "replaced-", "replaced-1e3", "notes"];
  for (const name of [...ours, ...others]) {
    await Deno.mkdir(`${folder.path}/.staging-${name}`);
    await Deno.writeTextFile(`${folder.path}/.staging-${name}/x`, name);
  }
  await sweepStaging(folder.path);
  assert.deepEqual(
    await names(folder.path),
    [...others.map((name) => `.staging-${name}`), "checkpoint-6"].sort(),
  );
  await Deno.mkdir(`${folder.path}/checkpoint-007`);
  assert.deepEqual((await listCheckpoints(folder.path)).map(({ step }) => step), [6]);
});

Deno.test({
  name: "writeCheckpoint() keeps files that nobody may write",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using folder = await tempFolder();
    const { directory } = await writeCheckpoint(folder.path, 1, async (staging) => {
      await Deno.writeTextFile(`${staging}/tokenizer.json`, "{}");
      await Deno.chmod(`${staging}/tokenizer.json`, 0o444);
      return [];
    });
    await verifyCheckpoint(directory);
  },
});

Deno.test("verifyCheckpoint() leaves an error of permissions as it is, for who explains these", async () => {
  await using folder = await tempFolder();
  const directory = await checkpoint(folder.path);
  const denied = new Deno.errors.NotCapable("Requires read access");
  await withDeno(
    { lstat: () => Promise.reject(denied) },
    () => assert.rejects(verifyCheckpoint(directory), (cause) => cause === denied),
  );
});

Deno.test("writeCheckpoint() syncs files, their folder, and the folder around it, and puts an old one aside", async () => {
  await using folder = await tempFolder();
  const files = ["sync model.safetensors", "sync optimizer.state", "sync manifest.json"];
  const named = ["rename .staging-checkpoint-6 to checkpoint-6", `sync ${basename(folder.path)}`];
  for (const aside of [[], ["rename checkpoint-6 to .staging-replaced-6"]]) {
    using record = await recordFiles();
    await checkpoint(folder.path);
    const expected = [...files, "sync .staging-checkpoint-6", ...aside, ...named];
    assert.deepEqual(record.calls, expected);
  }
});

Deno.test("listCheckpoints() sorts by step, and takes only folders of these names", async () => {
  await using folder = await tempFolder();
  for (const name of ["checkpoint-10", "checkpoint-9", "checkpoint-0", "checkpoint-", "a"]) {
    await Deno.mkdir(`${folder.path}/${name}`);
  }
  const file = await folder.write("checkpoint-3", "");
  assert.deepEqual(
    await listCheckpoints(folder.path),
    [0, 9, 10].map((step) => ({ step, directory: `${folder.path}/checkpoint-${step}` })),
  );
  assert.deepEqual(await listCheckpoints(`${folder.path}/none`), []);
  assert.deepEqual(await listCheckpoints(file), []);
  await assert.rejects(listCheckpoints("a\0b"), TypeError);
});

Deno.test("sweepStaging() leaves the checkpoint that is there in place of the one that was put aside", async () => {
  await using folder = await tempFolder();
  const directory = await checkpoint(folder.path, 2);
  for (const name of ["replaced-2", "replaced-3", "loss.svg"]) {
    await Deno.mkdir(`${folder.path}/.staging-${name}/inside`, { recursive: true });
  }
  await sweepStaging(folder.path);
  assert.deepEqual(await names(folder.path), ["checkpoint-2", "checkpoint-3"]);
  assert.deepEqual(await names(`${folder.path}/checkpoint-3`), ["inside"]);
  assert.equal(await verifyCheckpoint(directory), 2);
});

Deno.test("writeCheckpoint() writes hashes of all files into the manifest, and takes those that are told", async () => {
  await using folder = await tempFolder();
  const told = { name: "told", bytes: 30, sha256: "f".repeat(64) };
  const written = await writeCheckpoint(folder.path, 12, async (staging) => {
    await Deno.writeTextFile(`${staging}/told`, "x");
    await Deno.writeTextFile(`${staging}/abc`, "abc");
    await Deno.writeTextFile(`${staging}/empty`, "");
    return [told];
  });
  const directory = `${folder.path}/checkpoint-12`;
  assert.deepEqual(written, { directory, bytes: 33 });
  // Of "abc" the example of FIPS 180-2.
  assert.equal(
    await Deno.readTextFile(`${directory}/manifest.json`),
    `{
  "step": 12,
  "files": {
    "abc": {
      "bytes": 3,
      "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    },
    "empty": {
      "bytes": 0,
      "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    },
    "told": {
      "bytes": 30,
      "sha256": "${told.sha256}"
    }
  }
}
`,
  );
  await assert.rejects(verifyCheckpoint(directory), {
    message:
      `Cannot use checkpoint ${directory}: told has 1 bytes, not 30 as manifest.json says; ` +
      "resume from an earlier one",
  });
});

Deno.test("writeCheckpoint() takes the place of what a save that was cut left, and of the checkpoint of that step", async () => {
  await using folder = await tempFolder();
  await checkpoint(folder.path);
  for (const name of ["checkpoint-6", "replaced-6"]) {
    await Deno.mkdir(`${folder.path}/.staging-${name}/inside`, { recursive: true });
  }
  const fill = async (staging: string): Promise<[]> => {
    assert.deepEqual(await names(staging), []);
    await Deno.writeTextFile(`${staging}/new`, "");
    return [];
  };
  await writeCheckpoint(folder.path, 6, fill);
  assert.deepEqual(await names(folder.path), ["checkpoint-6"]);
  assert.deepEqual(await names(`${folder.path}/checkpoint-6`), ["manifest.json", "new"]);
});

Deno.test("writeCheckpoint() that fails leaves nothing of it, and what was there", async () => {
  await using folder = await tempFolder();
  const directory = await checkpoint(folder.path);
  const cause = new Error("no space left");
  const failed = writeCheckpoint(folder.path, 6, async (staging) => {
    await Deno.writeTextFile(`${staging}/half`, "");
    throw cause;
  });
  await assert.rejects(failed, {
    message:
      `Cannot save checkpoint ${directory}: no space left; earlier checkpoints are untouched. ` +
      "Free space or give another --output-dir, and resume",
    cause,
  });
  assert.deepEqual(await names(folder.path), ["checkpoint-6"]);
  assert.equal(await verifyCheckpoint(directory), 6);
  // An output folder that is gone is not made anew.
  const gone = writeCheckpoint(`${folder.path}/gone`, 1, () => Promise.resolve([]));
  await assert.rejects(gone, /^Error: Cannot save checkpoint .*\/gone\/checkpoint-1: No such file/);
  assert.deepEqual(await names(folder.path), ["checkpoint-6"]);
});

Deno.test("writeCheckpoint() opens what it syncs for reading alone, but on Windows", async () => {
  await using folder = await tempFolder();
  const { open } = Deno;
  const opened: unknown[] = [];
  await withDeno({
    open: (...[path, options]: Parameters<typeof open>) => {
      opened.push([basename(`${path}`), options]);
      return open(path, options);
    },
  }, () => checkpoint(folder.path));
  const files = ["model.safetensors", "optimizer.state", MANIFEST];
  const write = Deno.build.os === "windows";
  assert.deepEqual(
    opened.filter((each) => Array.isArray(each) && each[1] !== undefined),
    files.map((name) => [name, { read: true, write }]),
  );
});

Deno.test("verifyCheckpoint() names all problems at once, in the order of the files", async () => {
  await using folder = await tempFolder();
  const { directory } = await writeCheckpoint(folder.path, 4, async (staging) => {
    for (const name of ["a", "b", "c", "d", "e"]) {
      await Deno.writeTextFile(`${staging}/${name}`, `${name}-1`);
    }
    return [];
  });
  const moved = `${folder.path}/checkpoint-5`;
  await Deno.rename(directory, moved);
  await Deno.writeTextFile(`${moved}/b`, "b-10");
  await Deno.writeTextFile(`${moved}/c`, "c-2");
  for (const name of ["a", "d", "e"]) await Deno.remove(`${moved}/${name}`);
  await Deno.mkdir(`${moved}/d`);
  await Deno.symlink("c", `${moved}/e`);
  for (const name of ["z", "y", "Thumbs.db", "._c", "desktop.ini"]) {
    await Deno.writeTextFile(`${moved}/${name}`, "");
  }
  await assert.rejects(verifyCheckpoint(moved), {
    message: `Cannot use checkpoint ${moved}: its manifest.json is of step 4; a is missing; ` +
      "b has 4 bytes, not 3 as manifest.json says; c has another sha256 than manifest.json says; " +
      "d is no file; e is a link; y is not in its manifest.json; move it away; z is not in its " +
      "manifest.json; move it away; resume from an earlier one",
  });
});

Deno.test("verifyCheckpoint() reads a manifest of a mebibyte, and none that is larger or no file", async () => {
  await using folder = await tempFolder();
  const directory = await checkpoint(folder.path);
  const path = `${directory}/${MANIFEST}`;
  const text = await Deno.readTextFile(path);
  const broken = (why: string) => ({
    message:
      `Cannot use checkpoint ${directory}: its manifest.json is missing or broken${why}; give ` +
      "a checkpoint-N folder that ortune wrote",
  });
  await Deno.writeTextFile(path, text.padEnd(2 ** 20));
  assert.equal(await verifyCheckpoint(directory), 6);
  await Deno.writeTextFile(path, text.padEnd(2 ** 20 + 1));
  await assert.rejects(verifyCheckpoint(directory), broken(", 1048577 bytes"));
  await Deno.rename(path, `${folder.path}/elsewhere`);
  await assert.rejects(verifyCheckpoint(directory), broken(""));
  await Deno.symlink(`${folder.path}/elsewhere`, path);
  await assert.rejects(verifyCheckpoint(directory), broken(", no file"));
});

/** A checkpoint that was not synced. */
async function unsynced(output: string, step: number): Promise<void> {
  const files = { w: { bytes: 3, sha256: sha256("abc") } };
  await Deno.mkdir(`${output}/checkpoint-${step}`);
  await Deno.writeTextFile(`${output}/checkpoint-${step}/w`, "abc");
  const manifest = JSON.stringify({ step, files });
  await Deno.writeTextFile(`${output}/checkpoint-${step}/${MANIFEST}`, manifest);
}

const steps = async (output: string): Promise<number[]> =>
  (await listCheckpoints(output)).map(({ step }) => step);

Deno.test("rotateCheckpoints() keeps the newest ones, and the one that is to be kept among as many", async () => {
  const cases: [{ limit: number; keep?: number }, number[]][] = [
    [{ limit: 5 }, [1, 2, 3, 4]],
    [{ limit: 4 }, [1, 2, 3, 4]],
    [{ limit: 3 }, [2, 3, 4]],
    [{ limit: 1 }, [4]],
    [{ limit: 1, keep: 4 }, [4]],
    [{ limit: 1, keep: 2 }, [2, 4]],
    [{ limit: 2, keep: 2 }, [2, 4]],
    [{ limit: 3, keep: 1 }, [1, 3, 4]],
    [{ limit: 4, keep: 1 }, [1, 2, 3, 4]],
    [{ limit: 2, keep: 9 }, [3, 4]],
  ];
  for (const [{ limit, keep }, kept] of cases) {
    await using folder = await tempFolder();
    for (const step of [1, 2, 3, 4]) await unsynced(folder.path, step);
    await rotateCheckpoints(folder.path, limit, { keep });
    assert.deepEqual(await steps(folder.path), kept, `${limit}, ${keep}`);
    assert.deepEqual(await names(folder.path), kept.map((step) => `checkpoint-${step}`));
  }
});

Deno.test("rotateCheckpoints() deletes nothing before the newest is known to be good", async () => {
  await using folder = await tempFolder();
  await rotateCheckpoints(folder.path, 1);
  for (const step of [1, 2]) await unsynced(folder.path, step);
  await Deno.writeTextFile(`${folder.path}/checkpoint-2/w`, "broken");
  await rotateCheckpoints(folder.path, 2);
  await assert.rejects(
    rotateCheckpoints(folder.path, 1),
    /checkpoint-2: w has 6 bytes/,
  );
  assert.deepEqual(await steps(folder.path), [1, 2]);
});

Deno.test("removeCheckpoint() renames it before it deletes it, whatever an earlier one left", async () => {
  await using folder = await tempFolder();
  const directory = await checkpoint(folder.path, 3);
  await Deno.mkdir(`${folder.path}/.staging-doomed-3/inside`, { recursive: true });
  using record = await recordFiles();
  await removeCheckpoint(folder.path, { step: 3, directory });
  assert.deepEqual(record.calls, ["rename checkpoint-3 to .staging-doomed-3"]);
  assert.deepEqual(await names(folder.path), []);
});

Deno.test("sha256() and hashFile() are those of FIPS 180-2, over parts and over pieces of a file", async () => {
  await using folder = await tempFolder();
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.equal(sha256("abc"), abc);
  assert.equal(sha256("a", Uint8Array.of(98), "c"), abc);
  assert.deepEqual(await hashFile(await folder.write("abc", "abc")), { bytes: 3, sha256: abc });
  const large = new Uint8Array(2 ** 22 + 3).fill(97);
  assert.deepEqual(await hashFile(await folder.write("large", large)), {
    bytes: 2 ** 22 + 3,
    sha256: sha256(large),
  });
});

Deno.test({
  name: "syncFolder() syncs a folder, and says where there is none",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using folder = await tempFolder();
    using record = await recordFiles();
    await syncFolder(folder.path);
    assert.deepEqual(record.calls, [`sync ${basename(folder.path)}`]);
    await assert.rejects(syncFolder(`${folder.path}/none`), Deno.errors.NotFound);
  },
});

Deno.test("what is at a path is asked of the path itself, and an error of permissions is passed on", async () => {
  await using folder = await tempFolder();
  const directory = await checkpoint(folder.path, 3);
  // A link to nothing is something.
  await Deno.symlink("nothing", `${folder.path}/.staging-doomed-3`);
  await removeCheckpoint(folder.path, { step: 3, directory });
  assert.deepEqual(await names(folder.path), []);
  const denied = new Deno.errors.NotCapable("Requires read access");
  await withDeno(
    { lstat: () => Promise.reject(denied) },
    () => assert.rejects(removeCheckpoint(folder.path, { step: 3, directory }), denied),
  );
});

Deno.test("checkpoints are written, replaced, swept and deleted one step after another", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  await oneAtATime(() => checkpoint(path, 1));
  await Deno.mkdir(`${path}/.staging-replaced-2`);
  await oneAtATime(() => checkpoint(path, 1));
  await oneAtATime(() => sweepStaging(path));
  assert.deepEqual(await names(path), ["checkpoint-1", "checkpoint-2"]);
  for (const name of ["checkpoint-3", "doomed-1"]) await Deno.mkdir(`${path}/.staging-${name}`);
  await oneAtATime(() => sweepStaging(path));
  const [oldest] = await listCheckpoints(path);
  await oneAtATime(() => removeCheckpoint(path, oldest));
  assert.deepEqual(await names(path), ["checkpoint-2"]);
});
