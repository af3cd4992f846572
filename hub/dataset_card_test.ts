import assert from "node:assert/strict";
import { parseDatasetCard } from "./dataset_card.ts";

const NONE = { subsets: [], facts: new Map() };
const card = (...lines: string[]) =>
  parseDatasetCard(["---", ...lines, "---", "# A dataset"].join("\n"));
const subsetsOf = (...lines: string[]) => card("configs:", ...lines).subsets;

Deno.test("parseDatasetCard() reads the head alone, where there is one", () => {
  for (const text of ["", "# Hi", "---\n---\n", "---\n- a\n---\n", "x\n---\nconfigs: 1\n---\n"]) {
    assert.deepEqual(parseDatasetCard(text), NONE, text);
  }
  const expected = [{ name: "a", isDefault: true, splits: undefined, folder: undefined }];
  for (const end of ["", "\n", "\r\n# more\n---\n"]) {
    for (const start of ["", "\ufeff", "\n "]) {
      const text = `${start}---\r\nconfigs:\r\n- config_name: a\r\n---${end}`;
      assert.deepEqual(parseDatasetCard(text), { subsets: expected, facts: new Map() });
    }
  }
});

Deno.test("parseDatasetCard() reads subsets with the patterns of their splits", () => {
  assert.deepEqual(
    subsetsOf(
      "- config_name: main",
      "  data_files:",
      "  - split: train",
      "    path: ./data/*.jsonl",
      "  - {split: test, path: [/a.csv, ../b.csv, c.csv]}",
      "- config_name: 7",
      "  data_files: [./x.csv, y.csv]",
      "  data_dir: ./en/sub/",
      "- config_name: default",
      "  data_files: rows.csv",
      "  data_dir:",
      "- config_name: other",
      "  data_files:",
      "    split: train",
      "    path: z.csv",
      "  default: true",
      "  data_dir: /",
      "- config_name: last",
      "  default: 'true'",
      "  data_files: null",
    ),
    [
      {
        name: "main",
        isDefault: false,
        splits: [
          { name: "train", patterns: ["data/*.jsonl"] },
          { name: "test", patterns: ["a.csv", "../b.csv", "c.csv"] },
        ],
        folder: undefined,
      },
      {
        name: "7",
        isDefault: false,
        splits: [{ name: "train", patterns: ["x.csv", "y.csv"] }],
        folder: "en/sub",
      },
      {
        name: "default",
        isDefault: true,
        splits: [{ name: "train", patterns: ["rows.csv"] }],
        folder: undefined,
      },
      {
        name: "other",
        isDefault: true,
        splits: [{ name: "train", patterns: ["z.csv"] }],
        folder: undefined,
      },
      { name: "last", isDefault: false, splits: undefined, folder: undefined },
    ],
  );
  assert.deepEqual(subsetsOf("- {config_name: only}").map(({ isDefault }) => isDefault), [true]);
  assert.deepEqual(card("configs: null").subsets, []);
});

Deno.test("parseDatasetCard() says which part is not what it may be", () => {
  const refused = (message: string, ...lines: string[]) =>
    assert.throws(() => card(...lines), { name: "TypeError", message });
  refused("configs of its README.md is not a list", "configs: {a: 1}");
  refused("configs of its README.md is not a list", "configs: text");
  const second = ["configs:", "- config_name: a"];
  refused(
    "configs[1] of its README.md is not an object with config_name",
    ...second,
    "- text",
  );
  refused(
    "configs[1].config_name of its README.md is not a text",
    ...second,
    "- {data_files: x.csv}",
  );
  for (const dir of ["7", "[a]"]) {
    refused(
      "configs[1].data_dir of its README.md is not a folder",
      ...second,
      `- {config_name: b, data_dir: ${dir}}`,
    );
  }
  for (const files of ["7", "[a.csv, 7]"]) {
    refused(
      "configs[1].data_files of its README.md is not a path or a list of paths",
      ...second,
      `- {config_name: b, data_files: ${files}}`,
    );
  }
  for (const item of ["text", "{path: a.csv}", "{split: 7, path: a.csv}", "{split: test}"]) {
    refused(
      "configs[1].data_files[1] of its README.md is not an object of split and path",
      ...second,
      `- {config_name: b, data_files: [{split: train, path: a.csv}, ${item}]}`,
    );
  }
  refused(
    "configs[1].data_files[1].path of its README.md is not a path or a list of paths",
    ...second,
    "- {config_name: b, data_files: [{split: train, path: a.csv}, {split: test, path: [7]}]}",
  );
  assert.throws(() => card("configs: ["), (error: Error) => {
    assert.ok(error instanceof TypeError && error.cause instanceof Error);
    assert.equal(
      error.message,
      "the head of its README.md is not YAML (unexpected end of the stream within a flow collection (1:11))",
    );
    return true;
  });
});

Deno.test("parseDatasetCard() takes 10,000 subsets, and patterns of one, and no more", () => {
  const list = (length: number, each: string) =>
    `[${Array.from({ length }, () => each).join(", ")}]`;
  assert.equal(card(`configs: ${list(10_000, "{config_name: a}")}`).subsets.length, 10_000);
  assert.throws(() => card(`configs: ${list(10_001, "{config_name: a}")}`), {
    message: "configs of its README.md is not a list",
  });
  const files = (length: number) =>
    subsetsOf(`- {config_name: a, data_files: ${list(length, "b")}}`);
  assert.equal(files(10_000)[0].splits![0].patterns.length, 10_000);
  assert.throws(() => files(10_001), {
    message: "configs[0].data_files of its README.md is not a path or a list of paths",
  });
});

Deno.test("parseDatasetCard() reads rows and columns, and leaves out what is not as it should be", () => {
  assert.deepEqual(
    card(
      "dataset_info:",
      "- config_name: main",
      "  features:",
      "  - {name: question, dtype: string}",
      "  - {name: messages, list: [{name: role, dtype: string}]}",
      "  - {name: a, sequence: int32}",
      "  - {name: b, struct: []}",
      "  - {name: c, large_list: string}",
      "  - {name: d, dtype: {class_label: {}}}",
      "  - {name: 7}",
      "  - text",
      "  splits:",
      "  - {name: train, num_examples: 7473, num_bytes: 1}",
      "  - {name: test, num_examples: 0}",
      "  - {name: 1, num_examples: 3}",
      "  - {name: x, num_examples: -1}",
      "  - {name: y, num_examples: 1.5}",
      "  - {name: z}",
      "  - text",
      "- config_name: 2",
      "  features: text",
      "  splits: text",
      "- text",
    ).facts,
    new Map([
      ["main", {
        rows: new Map([["train", 7473], ["test", 0]]),
        columns: [
          "question: string",
          "messages: list",
          "a: sequence",
          "b: struct",
          "c: large_list",
          "d",
          "7",
        ],
      }],
      ["2", { rows: new Map(), columns: [] }],
    ]),
  );
  assert.deepEqual(
    card("dataset_info:", "  features:", "  - {name: a, dtype: int8}").facts,
    new Map([["default", { rows: new Map(), columns: ["a: int8"] }]]),
  );
  assert.deepEqual(card("dataset_info: 7").facts, new Map());
});
