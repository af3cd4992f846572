/** `deno task data` and `deno task fetch`, as a user runs them. */

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { createByteProgress } from "../cli/terminal/byte_progress.ts";
import { createDataFacts } from "../cli/data_report/data_facts.ts";
import { formatDataFacts, renderDataReport } from "../cli/data_report/data_report.ts";
import { writeTogether } from "../cli/data_report/write_split.ts";
import { byteTokenizerFiles } from "../data/text/byte_tokenizer.ts";
import { readDatasetRows } from "../data/records/dataset_rows.ts";
import { formatFloat, formatPythonJson, parsePythonJson } from "../internal/json/python_json.ts";
import { splitDataset } from "../data/records/split_dataset.ts";
import { createTokenizer } from "../data/text/tokenizer.ts";
import { LANGUAGE_SCRIPT } from "../train/track/bilingual.ts";
import { startHub } from "./support/hub_stub.ts";
import { denoArgs } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { runTask } from "./support/run_task.ts";
import { tempFolder } from "./support/temp_folder.ts";
import type { TempFolder } from "./support/temp_folder.ts";

const FIXTURE = repositoryPath("tests/fixtures/python_json");

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in a folder with the permissions of its task. */
async function command(
  script: string,
  folder: TempFolder,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  net = "127.0.0.1",
): Promise<Result> {
  const variables = "HF_TOKEN,HF_ENDPOINT,MODELSCOPE_API_TOKEN,MODELSCOPE_ENDPOINT";
  const isFetch = script === "cli/commands/fetch.ts";
  const sources = ["nasty", "rows", "bad", "one", "none"].map((name) => `${name}.jsonl`);
  const permissions = [
    `--allow-net=${net}`,
    `--allow-env=${variables}`,
    `--allow-read=${isFetch ? "models" : ["models", "data", ...sources].join(",")}`,
    `--allow-write=${isFetch ? "models" : "data"}`,
  ];
  const output = await new Deno.Command(Deno.execPath(), {
    args: denoArgs(repositoryPath(script), { permissions, args }),
    cwd: folder.path,
    env: { NO_COLOR: "1", ...env },
  }).output();
  const decoder = new TextDecoder();
  return {
    code: output.code,
    stdout: decoder.decode(output.stdout).trim(),
    stderr: decoder.decode(output.stderr).trim(),
  };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

const ROWS = Array.from({ length: 20 }, (_, i) => ({
  question: `q${i}`,
  think: i % 4 === 0 ? null : `t${i}`,
  answer: `a${i}`,
}));
const JSONL = ROWS.map((row) => JSON.stringify(row)).join("\n");

Deno.test("deno task data writes, of nasty rows, what Python writes", async () => {
  await using folder = await tempFolder();
  await folder.write("nasty.jsonl", await Deno.readFile(`${FIXTURE}/nasty.jsonl`));
  const args = ["--source", "nasty.jsonl", "--train_ratio=0.7"];
  const { code, stdout, stderr } = await command("cli/commands/data.ts", folder, args);
  assert.equal(code, 0, stderr);
  for (const name of ["train.jsonl", "val.jsonl"]) {
    assert.deepEqual(
      await Deno.readTextFile(`${folder.path}/data/${name}`),
      await Deno.readTextFile(`${FIXTURE}/${name}`),
    );
  }
  assert.match(stdout, /^data\/train\.jsonl {2}9 rows\ndata\/val\.jsonl {2}4 rows\n/);
  assert.match(stdout, /nasty\.jsonl:4:answer: expected a string, got null/);
  assert.match(stdout, /nasty\.jsonl:6: holds NaN or Infinity, which is not JSON/);
});

Deno.test("readDatasetRows() gives all rows the columns of all, and no call another's arguments", async () => {
  const lines = [
    '{"messages":[{"role":"assistant","tool_calls":[{"arguments":{"a":1.0}}]}],"tools":[{"x":1}]}',
    '{"id":1,"messages":[{"role":"assistant","name":"n","tool_calls":[{"arguments":{"b":2}}]}],"tools":[{"y":2}]}',
  ];
  await using folder = await tempFolder();
  const rows = await readDatasetRows([await folder.write("rows.jsonl", lines.join("\n"))]);
  assert.equal(
    formatPythonJson(rows.row(0).value),
    '{"messages": [{"role": "assistant", "tool_calls": [{"arguments": {"a": 1.0}}], "name": null}], ' +
      '"tools": [{"x": 1}], "id": null}',
  );
});

Deno.test("deno task data finds a file below data/ by its name, and writes down which it was", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/data/mine`, { recursive: true });
  await folder.write("data/mine/own.jsonl", JSONL);
  const result = await command("cli/commands/data.ts", folder, ["--source", "mine/own.jsonl"]);
  assert.deepEqual([result.code, result.stderr], [0, ""]);
  const split = JSON.parse(await Deno.readTextFile(`${folder.path}/data/split.json`));
  assert.equal(split.source, "data/mine/own.jsonl");
});

Deno.test("deno task data counts tokens as the model of a run does", async () => {
  await using folder = await quickstartFolder();
  await Deno.mkdir(`${folder.path}/output/run`, { recursive: true });
  await Deno.rename(`${folder.path}/models/tiny`, `${folder.path}/output/run/checkpoint-5`);
  await folder.write("data/rows.jsonl", JSONL);
  for (const model of ["output/run", "run"]) {
    const args = ["--source", "data/rows.jsonl", "--overwrite", "--model", model];
    const { code, stdout, stderr } = await runTask("data", folder.path, args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^whole example, tokens +\d/m);
  }
});

Deno.test("renderDataReport() shows rows as training reads them, inert, in both languages", async () => {
  const hostile = "<script>alert(1)</script>";
  const facts = createDataFacts({ maxLength: 64, system: "Be kind" });
  const add = (row: Record<string, string>, line: number, part: "train" | "val"): void =>
    facts.add(
      parsePythonJson(JSON.stringify(row)) as Map<string, never>,
      { file: "rows.jsonl", line },
      part,
    );
  add({ question: "" }, 1, "train");
  for (let line = 2; line < 7; line++) {
    add({ question: hostile, think: `${hostile}${line}`, answer: "x".repeat(2001) }, line, "train");
  }
  add({ question: "头痛？", answer: hostile }, 7, "val");
  const source = { name: hostile, columns: [hostile], split: { seed: 42, trainRatio: 0.9 } };
  const all = facts.facts();
  const page = await renderDataReport(all, source);
  assert.equal(page.match(/<article>/g)?.length, 4);
  // Of one row there is a part for it, of none there is none.
  for (const [shown, parts] of [[1, 5], [0, 4]]) {
    const few = { ...all, samples: all.samples.slice(0, shown) };
    const text = await renderDataReport(few, source);
    const found = [text.match(/<article>/g)?.length ?? 0, text.match(/<section>/g)?.length];
    assert.deepEqual(found, [shown, parts]);
  }
  assert.deepEqual(page.match(/<script>\n?.*/g), [
    '<script>\nif (navigator.language.toLowerCase().startsWith("zh")) {',
  ]);
  assert.ok(page.includes("&lt;script&gt;alert(1)&lt;/script&gt;2</div>"));
  assert.ok(page.includes('<span data-zh="训练，第 2 行">Training, line 2</span>'));
  assert.ok(page.includes('<span data-zh="验证，第 7 行">Validation, line 7</span>'));
  assert.ok(page.includes(`lang="">${"x".repeat(2000)} …</div>`));
  assert.ok(page.includes('<span data-zh="1 行没有思考">1 row has no thinking</span>'));
});

Deno.test("deno task data refuses to replace files unless told to", async () => {
  await using folder = await tempFolder();
  await folder.write("rows.jsonl", JSONL);
  const args = ["--source", "rows.jsonl"];
  assert.equal((await command("cli/commands/data.ts", folder, args)).code, 0);
  const before = await Deno.readTextFile(`${folder.path}/data/val.jsonl`);
  const again = await command("cli/commands/data.ts", folder, [...args, "--seed", "7"]);
  assert.deepEqual([again.code, again.stderr], [
    1,
    "error: Cannot write data/train.jsonl: it exists already. Give --overwrite to replace it, or another --output-dir",
  ]);
  assert.equal(await Deno.readTextFile(`${folder.path}/data/val.jsonl`), before);
  const over = await command("cli/commands/data.ts", folder, [
    ...args,
    "--seed",
    "7",
    "--overwrite",
  ]);
  assert.equal(over.code, 0, over.stderr);
  assert.notEqual(await Deno.readTextFile(`${folder.path}/data/val.jsonl`), before);
  const names = await Array.fromAsync(Deno.readDir(`${folder.path}/data`), ({ name }) => name);
  assert.deepEqual(names.sort(), ["report.html", "split.json", "train.jsonl", "val.jsonl"]);
});

for (
  const [source, variable] of [
    ["modelscope", "MODELSCOPE_ENDPOINT"],
    ["huggingface", "HF_ENDPOINT"],
  ]
) {
  Deno.test(`deno task data fetches from ${source}, and offline from the cache`, async () => {
    await using hub = startHub({ "r1_data_example.jsonl": JSONL });
    await using folder = await tempFolder();
    const token = { MODELSCOPE_API_TOKEN: "ms-token", HF_TOKEN: "hf_token" };
    const args = ["--source", source];
    const first = await command("cli/commands/data.ts", folder, args, {
      [variable]: hub.endpoint,
      ...token,
    });
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /train\.jsonl {2}18 rows/);
    assert.match(first.stderr, /100 %, .* 1\/1 files/);
    const sent = source === "modelscope" ? "Bearer ms-token" : "Bearer hf_token";
    for (const { headers } of hub.requests) assert.equal(headers.get("authorization"), sent);
    hub.requests.length = 0;
    const offline = [...args, "--offline", "--overwrite"];
    const second = await command("cli/commands/data.ts", folder, offline, {
      [variable]: hub.endpoint,
    });
    assert.equal(second.code, 0, second.stderr);
    assert.equal(hub.requests.length, 0);
  });
}

Deno.test("deno task data lists a dataset, and takes a subset's split of shards", async () => {
  const question = (name: string, count: number): string =>
    Array.from({ length: count }, (_, i) => `{"question":"${name}${i}","answer":"a"}\n`).join("");
  await using hub = startHub({
    "README.md":
      "---\nconfigs:\n- config_name: en\n  data_files: en/*\n- config_name: zh\n  data_files:\n" +
      "  - split: train\n    path: zh/train-*\n  - split: test\n    path: zh/test-*\ndataset_info:\n" +
      "- config_name: zh\n  features:\n  - name: question\n    dtype: string\n  - name: answer\n" +
      "    dtype: string\n  splits:\n  - name: train\n    num_examples: 12\n---\n",
    "en/rows.jsonl": question("en", 4),
    "zh/train-0.jsonl.gz": gzipSync(question("zh", 8)),
    "zh/train-1.csv": "question,answer\nzh8,a\nzh9,a\nzh9,a\nzh1,a\n",
    "zh/test-0.parquet": await Deno.readFile(
      repositoryPath("tests/fixtures/row_files/bytes.parquet"),
    ),
  });
  await using folder = await tempFolder();
  const env = { HF_ENDPOINT: hub.endpoint };
  const run = (...args: string[]) =>
    command("cli/commands/data.ts", folder, ["--source", "hf:owner/name", ...args], env);
  const { code, stdout, stderr } = await run("--list");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^subset {2}split {2}files +rows +size$/m);
  assert.match(stdout, /^en +train +en\/rows\.jsonl +not told +\d+ B$/m);
  assert.match(stdout, /^zh +train +zh\/train-0\.jsonl\.gz +12 +\d+ B$/m);
  assert.match(stdout, /^zh +test +zh\/test-0\.parquet +not told +639 B$/m);
  assert.match(
    stdout,
    /^columns of en: not told by the card\ncolumns of zh: question: string, answer: string$/m,
  );
  await assert.rejects(Deno.stat(`${folder.path}/data/train.jsonl`));

  const first = await run();
  assert.deepEqual([first.code, first.stderr.split("\n").at(-1)], [
    1,
    "error: Cannot choose the subset of owner/name: it has en, zh; name one with --subset",
  ]);
  const taken = await run("--subset", "zh", "--dedup");
  assert.equal(taken.code, 0, taken.stderr);
  assert.match(taken.stdout, /^data\/train\.jsonl {2}7 rows\ndata\/val\.jsonl {2}1 row$/m);
  const few = await run("--subset", "en", "--max-rows", "3", "--overwrite");
  assert.equal(few.code, 0, few.stderr);
  assert.match(few.stdout, /^data\/train\.jsonl {2}2 rows\n/m);
  const split = JSON.parse(await Deno.readTextFile(`${folder.path}/data/split.json`));
  assert.deepEqual(split, {
    source: "owner/name",
    ...{ subset: "en", split: "train", seed: 42, trainRatio: 0.9, maxRows: 3 },
  });
});

/** Rows of a split, the first of which stand in others too. */
const numbered = (name: string, count: number): string =>
  Array.from(
    { length: count },
    (_, i) => `{"question":"${i < 2 ? i : `${name} ${i}`}","answer":"a"}\n`,
  )
    .join("");

Deno.test("deno task data takes a dataset's own validation split, unless told otherwise", async () => {
  await using hub = startHub({
    "data/train-00000-of-00001.jsonl": numbered("train", 8),
    "data/validation-00000-of-00001.jsonl": numbered("validation", 4),
    "data/test-00000-of-00001.jsonl": numbered("test", 3),
  });
  await using folder = await tempFolder();
  const env = { HF_ENDPOINT: hub.endpoint };
  const run = async (...args: string[]) => {
    const all = ["--source", "hf:owner/name", "--overwrite", ...args];
    const { code, stdout, stderr } = await command("cli/commands/data.ts", folder, all, env);
    assert.equal(code, 0, stderr);
    const val = await Deno.readTextFile(`${folder.path}/data/val.jsonl`);
    const split = JSON.parse(await Deno.readTextFile(`${folder.path}/data/split.json`));
    const rows = /^data\/train\.jsonl {2}(\d+) rows?\ndata\/val\.jsonl {2}(\d+) rows?$/m.exec(
      stdout,
    );
    return { stdout, val, split, rows: rows?.slice(1).map(Number) };
  };
  const own = await run();
  assert.match(
    own.stdout,
    /^validation, a split of the dataset, becomes val\.jsonl; --train-ratio/m,
  );
  assert.deepEqual(own.rows, [8, 4]);
  assert.equal(
    own.val,
    numbered("validation", 4).replaceAll('":"', '": "').replaceAll(',"', ', "'),
  );
  assert.deepEqual(own.split, {
    ...{ source: "owner/name", subset: "default", split: "train", validationSplit: "validation" },
  });
  assert.match(
    await Deno.readTextFile(`${folder.path}/data/report.html`),
    /the dataset&#39;s own split validation/,
  );
  assert.match(
    own.stdout,
    /^2 rows stand in both parts\n {2}the row of .*\/validation-0\S+, line 1 \(valid.* of .*\/train-0\S+, line 1 /m,
  );
  // Those to train on are left out, as what is evaluated on is the dataset's.
  assert.deepEqual((await run("--dedup")).rows, [6, 4]);
  assert.deepEqual((await run("--max-rows", "3")).rows, [3, 3]);
  const test = await run("--validation-split", "test");
  assert.deepEqual([test.rows, test.split.validationSplit], [[8, 3], "test"]);
  assert.deepEqual((await run("--offline")).rows, [8, 4]);
  const drawn = await run("--train-ratio", "0.75");
  assert.deepEqual([drawn.rows, drawn.split.trainRatio], [[6, 2], 0.75]);
  assert.deepEqual((await run("--split", "test")).rows, [2, 1]);
});

Deno.test("deno task data takes splits of a folder too, and refuses those that are not there", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/data/mine`, { recursive: true });
  await folder.write("data/mine/train.jsonl", numbered("train", 6));
  await folder.write("data/mine/test.jsonl", numbered("test", 3));
  const run = (...args: string[]) =>
    command("cli/commands/data.ts", folder, ["--source", "data/mine", "--overwrite", ...args]);
  const drawn = await run();
  assert.match(
    drawn.stdout,
    /^the dataset's split test is left alone; --validation-split test makes it val\.jsonl$/m,
  );
  assert.match(drawn.stdout, /^data\/train\.jsonl {2}5 rows\ndata\/val\.jsonl {2}1 row$/m);
  const named = await run("--split", "test", "--validation-split", "train");
  assert.match(named.stdout, /^data\/train\.jsonl {2}3 rows\ndata\/val\.jsonl {2}6 rows$/m);
  const refused: readonly (readonly [readonly string[], string])[] = [
    [
      ["--validation-split", "dev"],
      'Cannot choose the validation split "dev" of data/mine: beside train it has test; name one',
    ],
    [
      ["--validation-split", "test", "--train-ratio", "0.5"],
      "Cannot use --validation-split and --train-ratio: the one takes a split to evaluate on, the other draws " +
      "rows for it; give one of them",
    ],
    [
      ["--split", "dev"],
      'Cannot choose the split "dev" of data/mine: it has train, test; name one with --split',
    ],
    [["--subset", "en"], "Cannot take --subset of data/mine: it has none; leave the flag out"],
    [
      ["--source", "data/mine/test.jsonl", "--split", "test"],
      "Cannot take --split of data/mine/test.jsonl: it has none; leave the flag out",
    ],
  ];
  for (const [args, message] of refused) {
    const { code, stderr } = await run(...args);
    assert.deepEqual([code, stderr], [2, `error: ${message}`]);
  }
});

Deno.test("deno task data writes tables as JSON Lines, and leaves out what repeats", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/data/mine`, { recursive: true });
  const long = "Take two of these in the morning, with water, and come back when the pain is gone. "
    .repeat(3);
  const rows = [...Array(8).keys()].map((i) => `q${i},"a, ""${i}"""`);
  const text = [`question,answer`, ...rows, 'q0,"a, ""0"""', `l,"${long}"`, `l,"${long}!"`].join(
    "\n",
  );
  await folder.write("data/mine/a.csv", text);
  await folder.write("data/mine/b.json", '[{"question":"j","answer":"a","n":4.0}]');
  const run = (...args: string[]) =>
    command("cli/commands/data.ts", folder, ["--source", "mine/*", "--overwrite", ...args]);
  const told = await run();
  assert.equal(told.code, 0, told.stderr);
  const lines = told.stdout.split("\n");
  assert.equal(
    lines[0],
    "data/mine/a.csv: read as CSV with , between cells; every cell is text, an empty one is null",
  );
  assert.deepEqual(lines.slice(1, 4), [
    "data/mine/*: 2 files, data/mine/a.csv, data/mine/b.json",
    "data/train.jsonl  10 rows",
    "data/val.jsonl  2 rows",
  ]);
  assert.match(
    told.stdout,
    /^1 row is nearly the same as an earlier one; --dedup leaves such rows out$/m,
  );
  const dropped = await run("--dedup");
  assert.match(dropped.stdout, /^data\/train\.jsonl {2}9 rows\ndata\/val\.jsonl {2}1 row$/m);
  assert.match(
    dropped.stdout,
    /^1 row is the same as an earlier one: left out\n {2}data\/mine\/a\.csv, line 10 as /m,
  );
  const written = await Deno.readTextFile(`${folder.path}/data/train.jsonl`);
  assert.ok(written.includes('{"question": "q7", "answer": "a, \\"7\\"", "n": null}\n'), written);
  assert.ok(
    `${written}${await Deno.readTextFile(`${folder.path}/data/val.jsonl`)}`.includes('"n": 4.0}\n'),
  );
});

Deno.test("deno task fetch brings a model, prints its folder and plain lines of progress", async () => {
  await using hub = startHub({ "config.json": "{}", "model.safetensors": new Uint8Array(5000) });
  await using folder = await tempFolder();
  const args = ["--model", "o/tiny", "--source", "huggingface"];
  const fetched = await command("cli/commands/fetch.ts", folder, args, {
    HF_ENDPOINT: hub.endpoint,
  });
  assert.deepEqual([fetched.code, fetched.stdout], [0, "models/o/tiny"], fetched.stderr);
  assert.ok(!fetched.stderr.includes("\r"));
  assert.equal((await Deno.stat(`${folder.path}/models/o/tiny/model.safetensors`)).size, 5000);
  const offline = await command("cli/commands/fetch.ts", folder, [...args, "--offline"]);
  assert.deepEqual([offline.code, offline.stdout], [0, "models/o/tiny"]);
});

Deno.test("two processes that fetch one model at once leave it whole", async () => {
  const weights = new Uint8Array(300_000).fill(7);
  await using hub = startHub({ "config.json": "{}", "model.safetensors": weights });
  await using folder = await tempFolder();
  const args = ["--model", "o/tiny", "--source", "modelscope"];
  const env = { MODELSCOPE_ENDPOINT: hub.endpoint };
  const results = await Promise.all(
    [1, 2].map(() => command("cli/commands/fetch.ts", folder, args, env)),
  );
  assert.deepEqual(results.map(({ code }) => code), [0, 0]);
  assert.deepEqual(
    new Uint8Array(await Deno.readFile(`${folder.path}/models/o/tiny/model.safetensors`)),
    weights,
  );
  assert.equal(hub.requests.filter(({ path }) => path.includes("FilePath=model")).length, 1);
});

Deno.test("a host that the task does not allow is named with the flag that would", async () => {
  await using hub = startHub({ "config.json": "{}" });
  await using folder = await tempFolder();
  const args = ["--model", "o/tiny", "--source", "huggingface"];
  const { host } = new URL(hub.endpoint);
  const denied = await command(
    "cli/commands/fetch.ts",
    folder,
    args,
    { HF_ENDPOINT: hub.endpoint },
    "a.b",
  );
  assert.deepEqual([denied.code, denied.stderr], [
    1,
    `error: Cannot fetch the file list of o/tiny from ${host}: the script may not connect to it. ` +
    `Run it with --allow-net=${host}, or use ModelScope (--source modelscope)`,
  ]);
});

/** Files that cannot be split: their bytes, and what is said. */
const MALFORMED: readonly (readonly [string, string | Uint8Array, string])[] = [
  ["an empty file", "", ": expected at least one row, got none; write one JSON object a line"],
  [
    "only blank lines",
    "\n \r\n\t\n",
    ": expected at least one row, got none; write one JSON object a line",
  ],
  [
    "only a byte order mark",
    "\ufeff",
    ": expected at least one row, got none; write one JSON object a line",
  ],
  ["an array a file of nothing", "[\n]", ": expected at least one row, got none"],
  [
    "an indented object",
    "{\n}",
    ": expected JSON Lines, a JSON array, CSV, TSV or Parquet, got JSON over several lines; write one object a line: jq -c . PATH > converted.jsonl",
  ],
  ["an array a line", "{}\n[1, 2]", ":2: expected a JSON object, got array of 2"],
  ["a string", '"abc"', ':1: expected a JSON object, got string "abc"'],
  ["a number", "{}\n\n4.50", ":3: expected a JSON object, got number 4.5"],
  ["null", "null", ":1: expected a JSON object, got null"],
  ["true", "true", ":1: expected a JSON object, got boolean true"],
  ["NaN", "NaN", ":1: expected a JSON object, got number NaN"],
  [
    "no JSON",
    "question: answer",
    ':1: expected a JSON object, got invalid JSON: expected a value, got "q" at character 1',
  ],
  [
    "a cut row",
    '{"a": "b',
    ":1: expected a JSON object, got invalid JSON: a string without its closing quote begins at character 7",
  ],
  [
    "a cut object",
    '{"a": 1',
    ':1: expected a JSON object, got invalid JSON: expected ",", got the end at character 8',
  ],
  [
    "two objects a line",
    "{} {}",
    ':1: expected a JSON object, got invalid JSON: expected the end, got "{" at character 4',
  ],
  [
    "a comma too many",
    '{"a": 1,}',
    ':1: expected a JSON object, got invalid JSON: expected a string, got "}" at character 9',
  ],
  [
    "single quotes",
    "{'a': 1}",
    ':1: expected a JSON object, got invalid JSON: expected a string, got "\'" at character 2',
  ],
  [
    "no colon",
    '{"a" 1}',
    ':1: expected a JSON object, got invalid JSON: expected ":", got "1" at character 6',
  ],
  [
    "no value",
    '{"a": }',
    ':1: expected a JSON object, got invalid JSON: expected a value, got "}" at character 7',
  ],
  [
    "Python's None",
    '{"a": None}',
    ':1: expected a JSON object, got invalid JSON: expected a value, got "N" at character 7',
  ],
  [
    "a leading zero",
    '{"a": 01}',
    ':1: expected a JSON object, got invalid JSON: expected ",", got "1" at character 8',
  ],
  [
    "a plus sign",
    '{"a": +1}',
    ':1: expected a JSON object, got invalid JSON: expected a value, got "+" at character 7',
  ],
  [
    "a bare point",
    '{"a": 1.}',
    ':1: expected a JSON object, got invalid JSON: expected ",", got "." at character 8',
  ],
  [
    "a hex number",
    '{"a": 0x1}',
    ':1: expected a JSON object, got invalid JSON: expected ",", got "x" at character 8',
  ],
  [
    "an integer without end",
    `{"a": ${"9".repeat(4301)}}`,
    ":1: expected a JSON object, got invalid JSON: an integer of more than 4300 digits begins at character 7",
  ],
  [
    "an unknown escape",
    '{"a": "\\x41"}',
    ":1: expected a JSON object, got invalid JSON: an unknown escape stands at character 8",
  ],
  [
    "a short escape",
    '{"a": "\\u12"}',
    ":1: expected a JSON object, got invalid JSON: an unknown escape stands at character 8",
  ],
  [
    "a raw tab",
    '{"a": "\t"}',
    ":1: expected a JSON object, got invalid JSON: a control character stands unescaped in a string at character 8",
  ],
  [
    "a lone surrogate",
    '{"a": "\\ud800"}',
    ":1: expected a JSON object, got invalid JSON: a string with a lone surrogate, which has no UTF-8, begins at character 7",
  ],
  [
    "a key twice",
    '{"a": 1, "a": 2}',
    ':1: expected a JSON object, got invalid JSON: the key "a" stands for the second time at character 10',
  ],
  [
    "nesting without end",
    `{"a": ${"[".repeat(200)}`,
    ":1: expected a JSON object, got invalid JSON: nesting deeper than 100 begins at character 106",
  ],
  [
    "a comment",
    '{"a": 1} // b',
    ':1: expected a JSON object, got invalid JSON: expected the end, got "/" at character 10',
  ],
  [
    "a byte order mark inside",
    "{}\n\ufeff{}",
    ':2: expected a JSON object, got invalid JSON: expected a value, got "\ufeff" at character 1',
  ],
  [
    "UTF-16",
    Uint8Array.of(0xff, 0xfe, 0x7b, 0),
    ":1: expected UTF-8 text, got what looks like UTF-16; save the file as UTF-8",
  ],
  [
    "Latin-1",
    Uint8Array.of(0x7b, 0x22, 0xe9, 0x22),
    ":1: expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  [
    "a cut character",
    Uint8Array.of(0x7b, 0x7d, 0x0a, 0xe4, 0xbd),
    ":2: expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  [
    "a line of 5 MiB",
    new Uint8Array(5 * 1024 * 1024).fill(0x20),
    ":1: expected a line of at most 4194304 bytes, got a longer one; write one JSON object a line",
  ],
];
for (const [name, content, message] of MALFORMED) {
  Deno.test(`readDatasetRows() refuses ${name}`, async () => {
    await using folder = await tempFolder();
    const path = await folder.write("rows.jsonl", content);
    await assert.rejects(readDatasetRows([path]), {
      name: "JsonlError",
      message: `${path}${message.replace("PATH", path)}`,
    });
  });
}

const FAILING: readonly (readonly [string, string[], number, string])[] = [
  [
    "no such file",
    ["--source", "none.jsonl"],
    1,
    "error: Cannot find none.jsonl: there is no file none.jsonl or data/none.jsonl; give modelscope, huggingface or a file's path with --source",
  ],
  [
    "a name outside data/ that its task may not read",
    ["--source", "closed.jsonl"],
    1,
    "error: Cannot find closed.jsonl: there is no file data/closed.jsonl; closed.jsonl may not be read (tasks read models, data and output only); give modelscope, huggingface or a file's path with --source",
  ],
  [
    "a path with no file",
    ["--source", "data/none.jsonl"],
    1,
    "error: data/none.jsonl: expected a file of rows, got no such file",
  ],
  [
    "a path that its task may not read",
    ["--source", "./closed.jsonl"],
    1,
    'error: Cannot read "./closed.jsonl": the task may not; deno.json says which of models, data and output it may; for others run the script with deno run and --allow-read for them',
  ],
  [
    "a folder",
    ["--source", "data"],
    1,
    "error: Cannot read data: it has no files of rows (JSON Lines, JSON, CSV, TSV, Parquet); name files of it",
  ],
  [
    "a bad row",
    ["--source", "bad.jsonl"],
    1,
    'error: bad.jsonl:2: expected a JSON object, got invalid JSON: expected a value, got "o" at character 1',
  ],
  [
    "one row",
    ["--source", "one.jsonl"],
    1,
    "error: Cannot split 1 row by 0.9: 0 would be for training and 1 for validation. Add rows or choose another ratio",
  ],
  [
    "the ratio 1",
    ["--source", "one.jsonl", "--train-ratio", "1"],
    1,
    "error: Cannot split 1 row: the ratio 1 is not between 0 and 1. Choose one such as 0.9",
  ],
  [
    "the ratio 90",
    ["--train-ratio", "90"],
    2,
    "error: option '--train-ratio <number>' argument '90' is invalid. It must be a number above 0 and at most 1.\n(deno task data --help lists the flags)",
  ],
];
for (const [name, args, code, message] of FAILING) {
  Deno.test(`deno task data given ${name} fails in one clear line and writes nothing`, async () => {
    await using folder = await tempFolder();
    await Deno.mkdir(`${folder.path}/data`);
    await folder.write("bad.jsonl", "{}\noops");
    await folder.write("one.jsonl", "{}");
    await folder.write("closed.jsonl", JSONL);
    const result = await command("cli/commands/data.ts", folder, args);
    assert.deepEqual([result.code, result.stderr], [code, message]);
    assert.deepEqual(await Array.fromAsync(Deno.readDir(`${folder.path}/data`)), []);
  });
}

Deno.test("formatFloat() writes floats as Python's repr", () => {
  // [float(x) for x in …]; 20,000 random doubles also agreed with Python.
  const expected: readonly (readonly [number, string])[] = [
    [4, "4.0"],
    [-0, "-0.0"],
    [1e-5, "1e-05"],
    [0.0001, "0.0001"],
    [-0.00012345, "-0.00012345"],
    [1e15, "1000000000000000.0"],
    [1e16, "1e+16"],
    [123456789012345680, "1.2345678901234568e+17"],
    [1e22, "1e+22"],
    [2.2250738585072014e-308, "2.2250738585072014e-308"],
    [1.7976931348623157e308, "1.7976931348623157e+308"],
    [-2.5, "-2.5"],
    [1234.5678, "1234.5678"],
    [Infinity, "Infinity"],
    [-Infinity, "-Infinity"],
    [NaN, "NaN"],
  ];
  for (const [value, text] of expected) assert.equal(formatFloat(value), text);
});

// In a process of its own: a thread that ONNX Runtime was opened on has no subnormal numbers, and
// test files may share threads.
Deno.test("formatFloat() writes the smallest subnormal", async () => {
  const module = new URL("../internal/json/python_json.ts", import.meta.url);
  const script = `import { formatFloat } from "${module}"; console.log(formatFloat(5e-324));`;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", script] }).output();
  assert.equal(new TextDecoder().decode(stdout), "5e-324\n");
});

Deno.test("parsePythonJson() never gives anything but a value or a SyntaxError", () => {
  const good = '{"a": [1, -2.5e3, "\\u00e9\\n", {"b": null}], "c": true, "d": NaN}';
  for (let at = 0; at < good.length; at++) {
    for (const by of ["", "{", "]", '"', "\\", "\0", "9", ",", "\ud800"]) {
      const text = good.slice(0, at) + by + good.slice(at + 1);
      try {
        assert.equal(
          formatPythonJson(parsePythonJson(formatPythonJson(parsePythonJson(text)))),
          formatPythonJson(parsePythonJson(text)),
        );
      } catch (error) {
        assert.ok(error instanceof SyntaxError, text);
      }
    }
  }
});

Deno.test("splitDataset() gives the split of Qwen3-Medical-SFT's data.py", () => {
  const { train, validation } = splitDataset(2407);
  assert.deepEqual([train.length, validation.length], [2166, 241]);
  assert.deepEqual(train.slice(0, 4), [765, 135, 1968, 1564]);
  assert.deepEqual(validation.slice(0, 4), [1086, 1599, 8, 1552]);
});

Deno.test("writeTogether() leaves what was there when one file fails", async () => {
  await using folder = await tempFolder();
  const first = await folder.write("a", "old");
  await Deno.mkdir(`${folder.path}/b`);
  await folder.write("b/c", "x");
  function* failing(): Generator<string> {
    yield "half";
    throw new Error("no more");
  }
  await assert.rejects(
    writeTogether([{ path: first, parts: ["new"] }, {
      path: `${folder.path}/d`,
      parts: failing(),
    }]),
    /no more/,
  );
  await assert.rejects(
    writeTogether([
      { path: first, parts: ["new"] },
      { path: `${folder.path}/none/d`, parts: ["new"] },
    ]),
    /Cannot write/,
  );
  assert.equal(await Deno.readTextFile(first), "old");
  const names = await Array.fromAsync(Deno.readDir(folder.path), ({ name }) => name);
  assert.deepEqual(names.sort(), ["a", "b"]);
  assert.ok(await exists(`${folder.path}/b/c`));
});

Deno.test("the report counts lengths, cut rows, malformed fields and duplicates", async () => {
  const lines = [
    '{"question": "<b>one</b>", "think": "hm", "answer": "1"}',
    '{"question": "two", "answer": "2"}',
    '{"question": " ", "answer": "3"}',
    '{"question": "four"}',
    `{"question": "long", "think": "${"x".repeat(400)}", "answer": "5"}`,
    '{"question": "two", "answer": "other"}',
    '{"question": "two", "answer": "2"}',
  ];
  await using folder = await tempFolder();
  const rows = await readDatasetRows([await folder.write("<i>.jsonl", lines.join("\n"))]);
  const tokenizer = createTokenizer(byteTokenizerFiles());
  const collected = createDataFacts({ tokenizer, maxLength: 300 });
  for (let index = 0; index < rows.length; index++) {
    const { value, where } = rows.row(index);
    collected.add(value, { ...where, file: "<i>.jsonl" }, index < 5 ? "train" : "val");
  }
  const facts = collected.facts();
  assert.deepEqual(facts.rows, { train: 5, val: 2 });
  assert.deepEqual([facts.cut, facts.unlabelled, facts.withoutThinking, facts.repeated], [
    1,
    0,
    3,
    1,
  ]);
  assert.deepEqual(facts.problems, [
    "<i>.jsonl:3:question: expected some text, got only blank space",
    "<i>.jsonl:4:answer: expected a string, got null",
  ]);
  const place = (line: number) => ({ file: "<i>.jsonl", line });
  assert.deepEqual(facts.duplicates, [
    { train: place(2), val: place(6), same: "question" },
    { train: place(2), val: place(7), same: "row" },
  ]);
  const text = formatDataFacts(facts).join("\n");
  assert.match(text, /^think, characters +0 +0 +400 +400 +400 +80$/m);
  assert.match(text, /1 row is longer than 300 tokens and would be cut/);
  assert.match(text, /the row of line 7 \(validation\) is that of line 2 \(training\)/);
  const source = { name: "<i>.jsonl", columns: rows.columns, split: { seed: 42, trainRatio: 0.9 } };
  const page = await renderDataReport(facts, source);
  assert.match(page, /&lt;i&gt;\.jsonl/);
  // But for the script that the page's policy allows by its hash.
  const markup = page.replace(`<script>${LANGUAGE_SCRIPT}</script>`, "");
  assert.doesNotMatch(markup, /<i>|<script|style="|https?:/);
  assert.equal(page.match(/<svg/g)?.length, 7);
  assert.equal(page, await renderDataReport(facts, source));
});

Deno.test("progress is a bar on a terminal and ten lines elsewhere", () => {
  for (const isTty of [true, false]) {
    let [text, time] = ["", 0];
    const write = (part: string): void => void (text += part);
    const progress = createByteProgress({ write, isTty, columns: () => 60, now: () => time });
    for (let bytes = 0; bytes <= 1000; bytes++) {
      time += 50;
      const filesDone = bytes === 1000 ? 1 : 0;
      progress.update({ file: "a.bin", bytes: bytes * 1024, size: 1_024_000, files: 1, filesDone });
    }
    progress.note("note");
    progress.finish();
    if (isTty) {
      const lines = text.split("\r\x1b[K");
      assert.ok(lines.length > 400 && lines.length < 600);
      assert.match(lines.at(-2)!, /^█{24} 100 %, 1000 KiB of 1000 KiB/);
      assert.ok(lines.every((line) => line.length < 60));
    } else {
      const lines = text.trimEnd().split("\n");
      assert.equal(lines.length, 12);
      assert.equal(
        lines[5],
        "50 %, 500 KiB of 1000 KiB, 0/1 files, 20.0 KiB/s, 0:00:25 left, a.bin",
      );
    }
    assert.match(text, /note\n$/);
  }
});
