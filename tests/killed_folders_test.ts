/** merge and export that are killed leave nothing under the folder's name, or all of it. */

import assert from "node:assert/strict";
import { stageFolder } from "../train/checkpoints/staged_folder.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { startDeno } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { runTask } from "./support/run_task.ts";
import { tempFolder } from "./support/temp_folder.ts";

const KILLS = 4;

const LORA = "--model models/tiny --train-file data/train.jsonl --max-length 512 --max-steps 1 " +
  "--output-dir output/lora --prediction-max-new-tokens 1";

const COMMANDS = {
  merge: "--model models/tiny --adapter output/lora",
  export: "--model models/tiny --parity-tokens 2 --dtype fp32,q4",
  "export --format hf": "--model models/tiny --no-parity --format hf",
};

Deno.test("merge and export that were killed at any moment are done by the next try", async (t) => {
  await using folder = await quickstartFolder();
  assert.equal((await runTask("train:lora", folder.path, LORA)).code, 0);
  for (const [name, flags] of Object.entries(COMMANDS)) {
    await t.step(name, async () => {
      const [command, ...more] = name.split(" ");
      const script = repositoryPath(`cli/commands/${command}.ts`);
      const run = (output: string) =>
        startDeno(script, {
          args: [...more, ...flags.split(" "), "--output-dir", `output/${output}`],
          cwd: folder.path,
        });
      const began = performance.now();
      {
        await using child = run("whole");
        const { code, text } = await child.ended();
        assert.equal(code, 0, text);
      }
      const milliseconds = performance.now() - began;
      const whole = await folderHashes(`${folder.path}/output/whole`);
      for (let n = 0; n < KILLS; n++) {
        await using child = run("killed");
        await new Promise((done) => setTimeout(done, milliseconds * (0.5 + n / KILLS / 2)));
        child.kill("SIGKILL");
        const { code } = await child.ended();
        const made = await names(`${folder.path}/output`);
        if (made.includes("killed")) {
          assert.deepEqual(await folderHashes(`${folder.path}/output/killed`), whole);
          await Deno.remove(`${folder.path}/output/killed`, { recursive: true });
        } else assert.notEqual(code, 0);
      }
      await using child = run("killed");
      const { code, text } = await child.ended();
      assert.equal(code, 0, text);
      assert.deepEqual(await folderHashes(`${folder.path}/output/killed`), whole);
      assert.deepEqual((await names(`${folder.path}/output`)).sort(), ["killed", "lora", "whole"]);
      for (const each of ["killed", "whole"]) {
        await Deno.remove(`${folder.path}/output/${each}`, { recursive: true });
      }
    });
  }
});

Deno.test("stageFolder() makes a folder of its own, once it is finished, over an empty one", async () => {
  await using folder = await tempFolder();
  const target = `${folder.path}/a/b`;
  {
    await using staged = await stageFolder(`${target}/`, "merge");
    await Deno.writeTextFile(`${staged.path}/x`, "1");
    assert.deepEqual(await names(`${folder.path}/a`), [".unfinished-b"]);
  }
  assert.deepEqual(await names(`${folder.path}/a`), []);
  await Deno.mkdir(target);
  {
    await using staged = await stageFolder(target, "merge");
    await Deno.mkdir(`${staged.path}/y`);
    await Deno.writeTextFile(`${staged.path}/y/x`, "1");
    await staged.finish();
  }
  assert.deepEqual(await names(`${folder.path}/a`), ["b"]);
  assert.equal(await Deno.readTextFile(`${target}/y/x`), "1");
});

Deno.test("stageFolder() refuses what is there, is being written, or has no name", async () => {
  await using folder = await tempFolder();
  await folder.write("file", "");
  await Deno.mkdir(`${folder.path}/full/x`, { recursive: true });
  await Deno.symlink(`${folder.path}/full`, `${folder.path}/link`);
  await using _staged = await stageFolder(`${folder.path}/taken`, "merge");
  const cases = {
    file: "it is a file",
    full: "it is not empty",
    link: "it is a link",
    ...Deno.build.os === "windows" ? {} : { taken: "another process is writing it" },
  };
  for (const [name, why] of Object.entries(cases)) {
    const path = `${folder.path}/${name}`;
    await assert.rejects(stageFolder(path, "merge"), {
      message: `Cannot merge into ${path}: ${why}; give a new --output-dir`,
    });
  }
  await assert.rejects(stageFolder(".", "export"), {
    message: "Cannot export into .: it has no name of its own; give a new --output-dir",
  });
});

async function names(path: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
}
