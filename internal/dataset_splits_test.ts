import assert from "node:assert/strict";
import { inferSplits, matchFiles, otherKind, rowFiles, validationSplit } from "./dataset_splits.ts";

const splits = (...paths: string[]) =>
  Object.fromEntries(inferSplits(paths).map(({ name, files }) => [name, files]));

Deno.test("inferSplits() takes numbered files of data/ first, the known splits in front", () => {
  const paths = [
    "data/zeta-00000-of-00001.parquet",
    "data/test-00000-of-00001.parquet",
    "data/alpha.x-00000-of-00001.parquet",
    "data/train-00001-of-00002.parquet",
    "data/train-00000-of-00002.parquet",
    "data/validation-00000-of-00001.parquet",
    "train/other.parquet",
  ];
  assert.deepEqual(inferSplits(paths), [
    { name: "train", files: [paths[4], paths[3]] },
    { name: "validation", files: [paths[5]] },
    { name: "test", files: [paths[1]] },
    { name: "alpha.x", files: [paths[2]] },
    { name: "zeta", files: [paths[0]] },
  ]);
  // Names that no split may have: then all files are looked at.
  assert.deepEqual(splits("data/a b-00000-of-00001.csv", "data/c-00000-of-00001.csv"), {
    train: ["data/a b-00000-of-00001.csv", "data/c-00000-of-00001.csv"],
  });
});

Deno.test("inferSplits() knows splits by the names of folders before those of files", () => {
  assert.deepEqual(splits("train/test.csv", "my-dev/x.csv", "b/eval_1/y.csv", "other.csv"), {
    train: ["train/test.csv"],
    validation: ["my-dev/x.csv"],
    test: ["b/eval_1/y.csv"],
  });
  assert.deepEqual(splits("a/training.csv", "valid_2.csv", "x-evaluation.csv", "trained.csv"), {
    train: ["a/training.csv"],
    validation: ["valid_2.csv"],
    test: ["x-evaluation.csv"],
  });
  assert.deepEqual(splits("b.csv", "a.csv"), { train: ["a.csv", "b.csv"] });
  assert.deepEqual(splits(), {});
});

Deno.test("inferSplits() leaves out what is hidden, describes the data, or has no rows", () => {
  assert.deepEqual(
    splits(
      ".hidden/a.csv",
      "__pycache__/b.csv",
      "c.csv",
      ".d.csv",
      "dataset_info.json",
      "README.md",
    ),
    { train: ["c.csv"] },
  );
  for (
    const name of [
      ...["config.json", "dataset_infos.json", "dummy_data.zip", "dataset_dict.json", "state.json"],
    ]
  ) assert.deepEqual(splits(name), {}, name);
  assert.deepEqual(splits("train/a.png", "test/b.csv"), { test: ["test/b.csv"] });
});

Deno.test("rowFiles() takes the most frequent kind, the first of the list where as many are there", () => {
  assert.deepEqual(rowFiles(["a.csv", "b.tsv", "c.jsonl", "d.csv"]), ["a.csv", "b.tsv", "d.csv"]);
  assert.deepEqual(rowFiles(["a.csv", "b.parquet"]), ["b.parquet"]);
  assert.deepEqual(rowFiles(["a.ndjson", "b.json", "c.jsonl"]), ["a.ndjson", "b.json", "c.jsonl"]);
  assert.deepEqual(rowFiles(["A.JSONL.gz", "b.txt"]), ["A.JSONL.gz"]);
  assert.deepEqual(rowFiles(["a.txt", "b.txt", "c.csv"]), []);
  assert.deepEqual(rowFiles(["a", "b.unknown"]), []);
  assert.deepEqual(rowFiles([]), []);
  // A folder's name has no ending.
  assert.deepEqual(rowFiles(["x.csv/a.json"]), ["x.csv/a.json"]);
});

Deno.test("otherKind() names what is there in place of rows", () => {
  for (
    const [name, kind] of [
      ...["png", "jpg", "jpeg", "gif", "webp", "bmp", "tiff"].map((each) => [each, "images"]),
      ...["mp3", "wav", "flac", "ogg", "opus", "m4a"].map((each) => [each, "sound"]),
      ...["mp4", "mkv", "avi", "mov", "webm"].map((each) => [each, "video"]),
      ...[["arrow", "Arrow"], ["txt", "plain text"], ["conll", "CoNLL"], ["tar", "WebDataset"]],
      ...[["xml", "XML"], ["hdf5", "HDF5"], ["h5", "HDF5"], ["zip", "zip"], ["lance", "Lance"]],
      ...[["pdf", "PDF"], ["csv", undefined], ["bin", undefined]],
    ] as const
  ) assert.equal(otherKind([`a.${name}`]), kind, `${name}`);
  assert.equal(otherKind([".a.png"]), undefined);
  // Where as many are there, the last by name.
  assert.equal(otherKind(["a.png", "b.txt"]), "plain text");
  assert.equal(otherKind(["a.wav", "b.txt", "c.wav"]), "sound");
});

Deno.test("matchFiles() sorts, and takes hidden files only where the pattern names them", () => {
  const paths = ["b.csv", "a.csv", ".c.csv", "__d/e.csv", "f/.g/h.csv", "README.md"];
  assert.deepEqual(matchFiles(paths, "*.csv"), ["a.csv", "b.csv"]);
  assert.deepEqual(matchFiles(paths, ".*"), [".c.csv"]);
  assert.deepEqual(matchFiles(paths, "**/*.csv"), ["a.csv", "b.csv"]);
  assert.deepEqual(matchFiles(paths, "__d/*"), ["__d/e.csv"]);
  assert.deepEqual(matchFiles(paths, "f/.*/*"), ["f/.g/h.csv"]);
  assert.deepEqual(matchFiles(paths, "*"), ["a.csv", "b.csv"]);
  assert.deepEqual(matchFiles(paths, "README.md"), ["README.md"]);
  // `..` is no hidden name.
  assert.deepEqual(matchFiles(["a/../b.csv"], "a/../*"), ["a/../b.csv"]);
});

Deno.test("validationSplit() finds the split to evaluate on, by the order of its names", () => {
  const of = (...names: string[]) => validationSplit(names.map((name) => ({ name })))?.name;
  assert.equal(of("train", "val", "dev", "valid", "validation"), "validation");
  assert.equal(of("val", "dev", "valid"), "valid");
  assert.equal(of("val", "dev"), "dev");
  assert.equal(of("test", "val"), "val");
  assert.equal(of("train", "test"), undefined);
});
