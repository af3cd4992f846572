import assert from "node:assert/strict";
import { UsageError } from "../../internal/usage_error.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { type DatasetFlags, listSplits, locateFiles } from "./dataset_files.ts";

const FLAGS: DatasetFlags = { datasetName: "a/b", source: { path: "x" }, outputDir: "data" };

/** A folder with splits, and what is chosen of it by flags. */
async function folderOf(splits: readonly string[]) {
  const folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/rows`);
  for (const name of splits) await folder.write(`rows/${name}.jsonl`, `{"text": "${name}"}\n`);
  const path = `${folder.path}/rows`;
  return {
    path,
    choose: async (flags: Partial<DatasetFlags> = {}) => {
      const { files, validation, ...rest } = await locateFiles(
        { path },
        { ...FLAGS, ...flags },
        new AbortController().signal,
      );
      const names = (paths: readonly string[]): readonly string[] =>
        paths.map((each) => each.slice(path.length + 1));
      return {
        files: names(files),
        ...validation && { validation: [validation.name, ...names(validation.files)] },
        ...rest,
      };
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

Deno.test("locateFiles() takes one file as it is, and no flags of splits with it", async () => {
  await using folder = await folderOf(["train"]);
  const path = `${folder.path}/train.jsonl`;
  const locate = (flags: Partial<DatasetFlags>) =>
    locateFiles({ path }, { ...FLAGS, ...flags }, new AbortController().signal);
  assert.deepEqual(await locate({}), { files: [path], name: path, more: {}, notes: [] });
  for (
    const [flag, name] of [["subset", "subset"], ["split", "split"], [
      "validationSplit",
      "validation-split",
    ]]
  ) {
    await assert.rejects(locate({ [flag]: "x" }), {
      message: `Cannot take --${name} of ${path}: it has none; leave the flag out`,
    });
  }
  await assert.rejects(locate({ trainRatio: 0.5, validationSplit: "x" }), {
    message:
      "Cannot use --validation-split and --train-ratio: the one takes a split to evaluate on, the other " +
      "draws rows for it; give one of them",
  });
});

Deno.test("locateFiles() takes a folder's train split, and its own to evaluate on", async () => {
  await using folder = await folderOf(["train", "validation", "test"]);
  const { path, choose } = folder;
  const note = `${path}: one file, ${path}/train.jsonl`;
  assert.deepEqual(await choose(), {
    files: ["train.jsonl"],
    validation: ["validation", "validation.jsonl"],
    name: path,
    more: { split: "train" },
    notes: [
      note,
      "validation, a split of the dataset, becomes val.jsonl; --train-ratio draws rows of train in its place",
    ],
  });
  const train = { files: ["train.jsonl"], name: path, more: { split: "train" } };
  assert.deepEqual(await choose({ trainRatio: 0.5 }), { ...train, notes: [note] });
  assert.deepEqual(await choose({ validationSplit: "test" }), {
    ...train,
    validation: ["test", "test.jsonl"],
    notes: [note],
  });
  // Another split is trained on alone.
  assert.deepEqual(await choose({ split: "test" }), {
    ...{ files: ["test.jsonl"], name: path, more: { split: "test" } },
    notes: [`${path}: one file, ${path}/test.jsonl`],
  });
});

Deno.test("locateFiles() leaves a test split alone, and says so", async () => {
  await using folder = await folderOf(["train", "test"]);
  const { path, choose } = folder;
  const { notes, ...rest } = await choose();
  assert.deepEqual(rest, { files: ["train.jsonl"], name: path, more: { split: "train" } });
  assert.deepEqual(notes.slice(1), [
    "the dataset's split test is left alone; --validation-split test makes it val.jsonl",
  ]);
  assert.deepEqual((await choose({ trainRatio: 0.5 })).notes.length, 1);
  await using alone = await folderOf(["train"]);
  assert.equal((await alone.choose()).notes.length, 1);
});

Deno.test("locateFiles() names the splits that there are where one is not", async () => {
  await using folder = await folderOf(["train", "validation", "test"]);
  const { path, choose } = folder;
  const refused = async (flags: Partial<DatasetFlags>): Promise<string> => {
    const error = await choose(flags).then(() => undefined, (error) => error);
    assert.ok(error instanceof UsageError);
    return error.message;
  };
  assert.equal(
    await refused({ split: "dev" }),
    `Cannot choose the split "dev" of ${path}: it has train, validation, test; name one with --split`,
  );
  assert.equal(
    await refused({ validationSplit: "dev" }),
    `Cannot choose the validation split "dev" of ${path}: beside train it has validation, test; name one`,
  );
  // Not the one that is trained on.
  assert.equal(
    await refused({ split: "test", validationSplit: "test" }),
    `Cannot choose the validation split "test" of ${path}: beside test it has train, validation; name one`,
  );
  assert.equal(
    await refused({ subset: "x" }),
    `Cannot take --subset of ${path}: it has none; leave the flag out`,
  );
  await using alone = await folderOf(["train"]);
  await assert.rejects(alone.choose({ validationSplit: "test" }), {
    message:
      `Cannot choose the validation split "test" of ${alone.path}: beside train it has none; draw rows with ` +
      "--train-ratio",
  });
});

Deno.test("listSplits() refuses files, which have no subsets", async () => {
  await assert.rejects(listSplits({ path: "x" }, FLAGS, new AbortController().signal), {
    message: "Cannot list files: --list is of a dataset on a hub; name one with --source",
  });
});
