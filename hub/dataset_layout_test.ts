import assert from "node:assert/strict";
import { layouts } from "../tests/support/hub_layouts.ts";
import { parseDatasetCard } from "./dataset_card.ts";
import { datasetLayout } from "./dataset_layout.ts";

const layout = (paths: readonly string[], head = "", name = "repository") =>
  datasetLayout(paths, parseDatasetCard(head === "" ? "" : `---\n${head}\n---\n`), name);

for (const { name, files, readme, taken } of layouts) {
  Deno.test(`datasetLayout() takes the files of ${name} as the Python package datasets does`, () => {
    const paths = readme === null ? files : [...files, "README.md"];
    const subsets = datasetLayout(paths, parseDatasetCard(readme ?? ""), "repository");
    assert.deepEqual(
      subsets.map(({ name, splits }) => [name, splits.map(({ name, files }) => [name, files])]),
      Object.entries(taken).map(([name, splits]) => [name, Object.entries(splits)]),
    );
  });
}

Deno.test("datasetLayout() gives a subset of the card its folder, rows and columns", () => {
  const paths = ["en/a.csv", "en/b.csv", "en/b.png", "de/train.csv", "de/test.csv", "c.csv"];
  const head = `
configs:
- config_name: english
  data_dir: en
  data_files: [{split: train, path: ["b.*", "*.csv"]}, {split: none, path: "x*"}]
- {config_name: german, data_dir: ./de/}
- {config_name: gone, data_files: "y*"}
dataset_info:
- config_name: english
  features: [{name: q, dtype: string}]
  splits: [{name: train, num_examples: 3}]
`;
  assert.deepEqual(layout(paths, head), [
    {
      name: "english",
      isDefault: false,
      columns: ["q: string"],
      splits: [{ name: "train", files: ["en/b.csv", "en/a.csv"], rows: 3 }],
    },
    {
      name: "german",
      isDefault: false,
      columns: [],
      splits: [
        { name: "train", files: ["de/train.csv"], rows: undefined },
        { name: "test", files: ["de/test.csv"], rows: undefined },
      ],
    },
  ]);
});

Deno.test("datasetLayout() takes the only facts for the only subset, whatever both are called", () => {
  const facts = (name: string) =>
    `{config_name: ${name}, features: [{name: ${name}}], splits: [{name: train, num_examples: 5}]}`;
  const only = [{
    name: "default",
    isDefault: true,
    columns: ["other"],
    splits: [{ name: "train", files: ["a.csv"], rows: 5 }],
  }];
  assert.deepEqual(layout(["a.csv"], `dataset_info: [${facts("other")}]`), only);
  const columnsOf = (head: string, paths = ["a.csv"]) =>
    layout(paths, head).map(({ columns }) => columns);
  assert.deepEqual(columnsOf(`dataset_info: [${facts("one")}, ${facts("two")}]`), [[]]);
  const two = "configs: [{config_name: x, data_files: a.csv}, {config_name: y, data_files: b.csv}]";
  assert.deepEqual(
    columnsOf(`${two}\ndataset_info: [${facts("one")}]`, ["a.csv", "b.csv"]),
    [[], []],
  );
});

Deno.test("datasetLayout() tells subsets of converted files apart, where all are such", () => {
  const split = (name: string, ...files: string[]) => ({ name, files, rows: undefined });
  const subset = (name: string, isDefault: boolean, ...splits: object[]) => ({
    name,
    isDefault,
    columns: [],
    splits,
  });
  assert.deepEqual(
    layout(["b/train/0001.parquet", "b/train/0000.parquet", "a/partial-test/0000.parquet", "x.md"]),
    [
      subset("a", false, split("test", "a/partial-test/0000.parquet")),
      subset("b", false, split("train", "b/train/0000.parquet", "b/train/0001.parquet")),
    ],
  );
  assert.deepEqual(
    layout(["default/train/0000.parquet", "a/train/0000.parquet"]).map((each) => each.isDefault),
    [false, true],
  );
  assert.deepEqual(layout(["a/train/0000.parquet"]), [
    subset("a", true, split("train", "a/train/0000.parquet")),
  ]);
  assert.deepEqual(layout(["a/train/0000.parquet", "b.parquet"]).map(({ name }) => name), [
    "default",
  ]);
});

for (
  const [name, paths, head, message] of [
    [
      "a script",
      ["repository.py", "train.csv"],
      "",
      "its rows come from a script, repository.py, which is not run",
    ],
    [
      "other scripts",
      ["load.py", "a.txt.py"],
      "",
      "it holds plain text, and rows are read of JSON Lines, JSON, CSV, TSV and Parquet",
    ],
    ["scripts alone", ["load.py", "README.md"], "", "it holds scripts alone, which are not run"],
    [
      "images",
      ["a.png", "b.csv", "c.jpg", "d.png"],
      "",
      "it holds images, and rows are read of JSON Lines, JSON, CSV, TSV and Parquet",
    ],
    [
      "nothing",
      ["README.md"],
      "",
      "it holds no file of rows (JSON Lines, JSON, CSV, TSV, Parquet)",
    ],
    [
      "files that are not there",
      ["a.csv"],
      "configs: [{config_name: x, data_files: b.csv}]",
      "none of the files that its README.md names is there, or has rows (JSON Lines, JSON, CSV, TSV, Parquet)",
    ],
  ] as const
) {
  Deno.test(`datasetLayout() says that it takes no rows of ${name}`, () => {
    assert.throws(() => layout(paths, head), { name: "TypeError", message });
  });
}

Deno.test("datasetLayout() runs no script of a dataset whose card names its files, and needs none", () => {
  const paths = ["repository.py", "a.csv"];
  const [{ splits }] = layout(paths, "configs: [{config_name: x, data_files: a.csv}]");
  assert.deepEqual(splits.map(({ files }) => files), [["a.csv"]]);
});
