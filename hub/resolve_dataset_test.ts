import assert from "node:assert/strict";
import { fakeHub } from "../tests/support/fake_hub.ts";
import { content, ID, type Layout, layouts } from "../tests/support/hub_layouts.ts";
import { downloads, startHub } from "../tests/support/hub_stub.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { HubError } from "./hub_error.ts";
import type { HubSource } from "./hub_options.ts";
import type { HubSubset } from "./dataset_layout.ts";
import { chooseSplit, listDataset, resolveDataset } from "./resolve_dataset.ts";

Deno.test("listDataset() takes all pages of ModelScope's list, full ones too", async () => {
  for (const [count, pages] of [[199, 1], [400, 3], [401, 3]]) {
    const names = Array.from(
      { length: count },
      (_, i) => `data/train-${String(i).padStart(4, "0")}.jsonl`,
    );
    await using hub = startHub(content(names));
    await using folder = await tempFolder();
    const { endpoint } = hub;
    const options = { source: "modelscope", cacheDir: folder.path, endpoint } as const;
    const { subsets: [{ splits: [{ files }] }] } = await listDataset(ID, options);
    assert.deepEqual(files, names);
    assert.equal(hub.requests.length, pages);
  }
});

Deno.test("listDataset() knows rows and columns of a card, and which subset is the default", async () => {
  const layout = (name: string): Layout => layouts.find((each) => each.name === name)!;
  const list = async (name: string) => {
    const { files, readme } = layout(name);
    await using hub = startHub(content(files, readme));
    await using folder = await tempFolder();
    const options = {
      source: "huggingface",
      cacheDir: folder.path,
      endpoint: hub.endpoint,
    } as const;
    return (await listDataset(ID, options)).subsets;
  };
  const [main, socratic] = await list("configs");
  assert.deepEqual(main.columns, ["question: string", "messages: list"]);
  assert.deepEqual(main.splits.map(({ rows }) => rows), [7473, 1319]);
  assert.deepEqual([main.isDefault, socratic.isDefault], [false, false]);
  assert.deepEqual((await list("configs_default")).map(({ isDefault }) => isDefault), [
    false,
    true,
  ]);
  const [only] = await list("card_without_configs");
  assert.deepEqual([only.columns, only.splits[0].rows], [["question: string"], 12]);
});

/** What cannot be taken: files, what is asked for, and what is said. */
const REFUSED: readonly {
  readonly name: string;
  readonly files: readonly string[];
  readonly readme?: string;
  readonly which?: {
    readonly subset?: string;
    readonly split?: string;
    readonly revision?: string;
  };
  readonly source?: HubSource;
  readonly status?: "403";
  readonly message: string;
}[] = [
  {
    name: "a script",
    files: ["repository.py", "raw/train.jsonl"],
    message:
      "Cannot tell the rows of owner/repository at Hugging Face: its rows come from a script, repository.py, " +
      "which is not run. Try --revision refs/convert/parquet, which has what Hugging Face made of it. Name a " +
      "file of it with --dataset-file otherwise",
  },
  {
    name: "a script on ModelScope",
    files: ["repository.py"],
    source: "modelscope",
    message:
      "Cannot tell the rows of owner/repository at ModelScope: its rows come from a script, repository.py, " +
      "which is not run. Name a file of it with --dataset-file, or choose another dataset",
  },
  {
    name: "scripts of other names",
    files: ["load.py", "helpers.py"],
    message:
      "Cannot tell the rows of owner/repository at Hugging Face: it holds scripts alone, which are not run. Try " +
      "--revision refs/convert/parquet, which has what Hugging Face made of it. Name a file of it with " +
      "--dataset-file otherwise",
  },
  {
    name: "nothing",
    files: [],
    message:
      "Cannot tell the rows of owner/repository at Hugging Face: it holds no file of rows (JSON Lines, JSON, CSV, " +
      "TSV, Parquet). Name a file of it with --dataset-file, or choose another dataset",
  },
  {
    name: "pictures",
    files: ["train/cat/1.png", "train/cat/2.png", "labels.csv"],
    message:
      "Cannot tell the rows of owner/repository at Hugging Face: it holds images, and rows are read of JSON " +
      "Lines, JSON, CSV, TSV and Parquet. Name a file of it with --dataset-file, or choose another dataset",
  },
  {
    name: "plain text",
    files: ["a.txt", "b.txt"],
    message:
      "Cannot tell the rows of owner/repository at Hugging Face: it holds plain text, and rows are read of JSON " +
      "Lines, JSON, CSV, TSV and Parquet. Name a file of it with --dataset-file, or choose another dataset",
  },
  {
    name: "a card of files that are not there",
    files: ["rows.jsonl"],
    readme: "---\nconfigs:\n- config_name: a\n  data_files: ../../etc/*\n---\n",
    message:
      "Cannot tell the rows of owner/repository at Hugging Face: none of the files that its README.md names is " +
      "there, or has rows (JSON Lines, JSON, CSV, TSV, Parquet). Name a file of it with --dataset-file, or choose " +
      "another dataset",
  },
  {
    name: "a card of another form",
    files: ["rows.jsonl"],
    readme: "---\nconfigs:\n- config_name: a\n  data_files:\n  - split: train\n---\n",
    message:
      "Cannot tell the rows of owner/repository at Hugging Face: configs[0].data_files[0] of its README.md is not " +
      "an object of split and path. Name a file of it with --dataset-file, or choose another dataset",
  },
  {
    name: "a card that is no YAML",
    files: ["rows.jsonl"],
    readme: "---\nconfigs: [\n---\n",
    message:
      "Cannot tell the rows of owner/repository at Hugging Face: the head of its README.md is not YAML " +
      "(unexpected end of the stream within a flow collection (1:11)). Name a file of it with --dataset-file, or choose " +
      "another dataset",
  },
  {
    name: "no subset of several",
    files: ["a/x.jsonl", "b/x.jsonl"],
    readme:
      "---\nconfigs:\n- config_name: a\n  data_files: a/*\n- config_name: b\n  data_files: b/*\n---\n",
    message: "Cannot choose the subset of owner/repository: it has a, b; name one with --subset",
  },
  {
    name: "another subset",
    files: ["train.jsonl"],
    which: { subset: "en" },
    message:
      'Cannot choose the subset "en" of owner/repository: it has default; name one with --subset',
  },
  {
    name: "another split",
    files: ["train.jsonl", "test.jsonl"],
    which: { split: "train[:10%]" },
    message:
      'Cannot choose the split "train[:10%]" of owner/repository: its subset default has train, test; name one ' +
      "with --split, and --max-rows for a part of it",
  },
  {
    name: "no split of several",
    files: ["dev.jsonl", "test.jsonl"],
    message:
      "Cannot choose the split of owner/repository: its subset default has validation, test; name one with " +
      "--split",
  },
  {
    name: "a path that leads outside",
    files: ["train.jsonl", "../outside.jsonl"],
    message:
      'Cannot fetch the file "../outside.jsonl": its path holds the part "..". Nothing of it was written; report ' +
      "the repository if it is not yours",
  },
  {
    name: "what is gated",
    files: ["train.jsonl"],
    status: "403",
    message:
      "Cannot fetch the file list of owner/repository from HOST: status 403, owner/repository is gated or " +
      "private, or does not exist. Ask for access on its page at Hugging Face where it is gated. No token was " +
      "sent: set HF_TOKEN to one of yours",
  },
];

for (const { name, files, readme, which, source = "huggingface", status, message } of REFUSED) {
  Deno.test(`resolveDataset() refuses ${name}, and takes no file`, async () => {
    await using hub = startHub(content(files, readme));
    if (status !== undefined) hub.fault = () => status;
    await using folder = await tempFolder();
    const options = { source, cacheDir: folder.path, endpoint: hub.endpoint, ...which };
    await assert.rejects(resolveDataset(ID, options), (error: Error) => {
      assert.ok(error instanceof HubError);
      assert.equal(error.message, message.replace("HOST", new URL(hub.endpoint).host));
      return true;
    });
    assert.deepEqual(downloads(hub).filter((path) => path !== "README.md"), []);
  });
}

Deno.test("resolveDataset() tells subsets of the files that Hugging Face makes apart", async () => {
  await using hub = startHub(content([
    "main/train/0000.parquet",
    "main/train/0001.parquet",
    "main/test/0000.parquet",
    "other/partial-train/0000.parquet",
  ]));
  await using folder = await tempFolder();
  const options = {
    source: "huggingface",
    cacheDir: folder.path,
    endpoint: hub.endpoint,
    revision: "refs/convert/parquet",
  } as const;
  const { subset, split, files } = await resolveDataset(ID, { ...options, subset: "main" });
  assert.deepEqual([subset.name, split.name, files.length], ["main", "train", 2]);
  assert.equal((await resolveDataset(ID, { ...options, subset: "other" })).files.length, 1);
});

const subset = (name: string, splits: readonly string[], isDefault = false): HubSubset => ({
  name,
  isDefault,
  columns: [],
  splits: splits.map((each) => ({ name: each, files: [`${name}/${each}.csv`], rows: undefined })),
});

Deno.test("chooseSplit() takes what is named, or what need not be", () => {
  const chosen = (
    subsets: readonly HubSubset[],
    which: { readonly subset?: string; readonly split?: string } = {},
  ) => {
    const { subset, split } = chooseSplit("me/x", subsets, which);
    return `${subset.name} ${split.name}`;
  };
  const [a, b] = [subset("a", ["test", "train"]), subset("b", ["dev"], true)];
  assert.equal(chosen([a]), "a train");
  assert.equal(chosen([b]), "b dev");
  assert.equal(chosen([a, b]), "b dev");
  assert.equal(chosen([a, b], { subset: "a" }), "a train");
  assert.equal(chosen([a, b], { subset: "a", split: "test" }), "a test");
  const refused = (message: string, ...args: Parameters<typeof chooseSplit>) =>
    assert.throws(() => chooseSplit(...args), { name: "HubError", message });
  const cannot = "Cannot choose the";
  refused(`${cannot} subset of me/x: it has a, c; name one with --subset`, "me/x", [
    a,
    subset("c", ["train"]),
  ], {});
  refused(
    `${cannot} split "dev" of me/x: its subset a has test, train; name one with --split`,
    "me/x",
    [a],
    { split: "dev" },
  );
  for (const split of ["train[:5]", "a+b", "5%", "train]"]) {
    refused(
      `${cannot} split "${split}" of me/x: its subset a has test, train; name one with --split, and --max-rows ` +
        "for a part of it",
      "me/x",
      [a],
      { split },
    );
  }
  const names = (count: number) => Array.from({ length: count }, (_, i) => `s${i}`);
  refused(
    `${cannot} split of me/x: its subset m has ${names(20).join(", ")}; name one with --split`,
    "me/x",
    [subset("m", names(20))],
    {},
  );
  refused(
    `${cannot} split of me/x: its subset m has ${
      names(20).join(", ")
    } and 2 more; name one with --split`,
    "me/x",
    [subset("m", names(22))],
    {},
  );
});

Deno.test("listDataset() reads a card of 8 MiB, and leaves a larger one alone", async () => {
  const head = "---\nconfigs: [{config_name: x, data_files: b.csv}]\n---\n";
  const limit = 8 * 1024 * 1024;
  for (const [length, name] of [[limit, "x"], [limit + 1, "default"]] as const) {
    await using folder = await tempFolder();
    const { fetch } = fakeHub({ "README.md": head.padEnd(length), "b.csv": "a\n1\n" });
    const options = { source: "huggingface", cacheDir: folder.path, fetch } as const;
    const { subsets, sizes } = await listDataset("me/x", options);
    assert.deepEqual(subsets.map((each) => each.name), [name]);
    assert.deepEqual(sizes, new Map([["README.md", length], ["b.csv", 4]]));
  }
});

Deno.test("listDataset() and resolveDataset() know offline what was fetched", async () => {
  await using folder = await tempFolder();
  const { fetch, fetched } = fakeHub({ "train.csv": "a\n1\n", "test.csv": "a\n2\n22\n" });
  const options = { source: "huggingface", cacheDir: folder.path, fetch } as const;
  const { files } = await resolveDataset("me/x", options);
  assert.deepEqual(files, [`${folder.path}/me/x/train.csv`]);
  assert.deepEqual(fetched, ["train.csv"]);
  const offline = { ...options, offline: true };
  const { subsets, sizes } = await listDataset("me/x", offline);
  const split = { name: "train", files: ["train.csv"], rows: undefined };
  assert.deepEqual(subsets, [
    { name: "default", isDefault: true, columns: [], splits: [split] },
  ]);
  assert.deepEqual(sizes, new Map([["train.csv", 4]]));
  assert.deepEqual(await resolveDataset("me/x", offline), { subset: subsets[0], split, files });
  await resolveDataset("me/x", { ...options, split: "test" });
  assert.deepEqual(fetched, ["train.csv", "test.csv"]);
});
