import assert from "node:assert/strict";
import { basename } from "node:path";
import { recordFiles } from "../../tests/support/record_files.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import {
  listCheckpoints,
  MANIFEST,
  sweepStaging,
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
    [null, 3, "x", [], {}, { bytes: 1 }, { bytes: "1", sha256: SHA }, { bytes: -1, sha256: SHA }, {
      bytes: 1,
      sha256: 3,
    }].map((file) => [
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
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    bytes[bit >> 3] ^= 1 << (bit & 7);
    await Deno.writeFile(`${directory}/${MANIFEST}`, bytes);
    await verifyCheckpoint(directory).then(() => accepted++, (cause) => {
      assert.match(cause.message, /^Cannot use checkpoint /);
    });
    bytes[bit >> 3] ^= 1 << (bit & 7);
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
  const { lstat } = Deno;
  const denied = new Deno.errors.NotCapable("Requires read access");
  Object.assign(Deno, { lstat: () => Promise.reject(denied) });
  try {
    await assert.rejects(verifyCheckpoint(directory), (cause) => cause === denied);
  } finally {
    Object.assign(Deno, { lstat });
  }
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
