import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { findCheckpoint, findFile, findOutput } from "./find_file.ts";

/** Runs in a folder of its own. */
async function inFolder(run: () => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  const before = Deno.cwd();
  Deno.chdir(folder.path);
  try {
    await run();
  } finally {
    Deno.chdir(before);
  }
}

Deno.test("findFile() looks as given, below data/ and below output/, and leaves other paths alone", async () => {
  await inFolder(async () => {
    for (const folder of ["data/mine", "output/run"]) await mkdir(folder, { recursive: true });
    for (
      const path of ["data/rows.jsonl", "data/mine/a.jsonl", "output/run/run.json", "here.jsonl"]
    ) {
      await writeFile(path, "");
    }
    const find = (name: string) => findFile(name, { flag: "--train-file" });
    assert.equal(await find("rows.jsonl"), "data/rows.jsonl");
    assert.equal(await find("mine/a.jsonl"), "data/mine/a.jsonl");
    assert.equal(await find("run/run.json"), "output/run/run.json");
    assert.equal(await find("here.jsonl"), "here.jsonl");
    for (const path of ["data/none.jsonl", "./none.jsonl", "../none.jsonl", "/none.jsonl"]) {
      assert.equal(await find(path), path);
    }
    await assert.rejects(find("none.jsonl"), {
      message: "Cannot find none.jsonl: there is no file none.jsonl or data/none.jsonl or " +
        "output/none.jsonl; give a file's path with --train-file",
    });
  });
});

Deno.test({
  name:
    "findFile() tells what may not be read from what is not there, findOutput() stays where it may write",
  permissions: { read: ["data", "output"], write: ["output"] },
  fn: async () => {
    await assert.rejects(findFile("no-such.jsonl", { flag: "--train-file" }), {
      message: "Cannot find no-such.jsonl: there is no file data/no-such.jsonl or " +
        "output/no-such.jsonl; no-such.jsonl may not be read (tasks read models, data and output " +
        "only); give a file's path with --train-file",
    });
    assert.equal(await findOutput("my-run"), "output/my-run");
    assert.equal(await findOutput("output/my-run"), "output/my-run");
    assert.equal(await findOutput("/elsewhere"), "/elsewhere");
  },
});

Deno.test("findOutput() leaves a folder alone that may be written", async () => {
  assert.equal(await findOutput("my-run"), "my-run");
});

Deno.test("findCheckpoint() looks below the run's folder and below output/", async () => {
  await inFolder(async () => {
    for (const path of ["output/a/checkpoint-4", "output/b/checkpoint-2"]) {
      await mkdir(path, { recursive: true });
    }
    assert.equal(await findCheckpoint("checkpoint-4", "output/a"), "output/a/checkpoint-4");
    assert.equal(await findCheckpoint("b/checkpoint-2", "output/a"), "output/b/checkpoint-2");
    assert.equal(
      await findCheckpoint("output/c/checkpoint-2", "output/a"),
      "output/c/checkpoint-2",
    );
    await assert.rejects(
      findCheckpoint("checkpoint-9", "output/a"),
      /^Error: Cannot find checkpoint checkpoint-9: there is no folder/,
    );
  });
});
