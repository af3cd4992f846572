/** A dry run says what training would stumble over and touches nothing; a run can be replayed. */

import assert from "node:assert/strict";
import { dryRun } from "../train/runs/dry_run.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { parse } from "./support/parse_training_flags.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath, runDeno, type ScriptOutput } from "./support/run_script.ts";
import { trainCommand, trainFlags } from "./support/train_command.ts";

const row = (question: string, answer: string): string =>
  JSON.stringify({ question, think: "好", answer }) + "\n";

/** What a dry run says. */
async function dryRunLines(folder: string, ...flags: string[]): Promise<string[]> {
  const said: string[] = [];
  const { signal } = new AbortController();
  const args = parse(...trainFlags(folder), "--dry-run", ...flags);
  await dryRun(args, { signal, say: (line) => said.push(line), color: false });
  return said;
}

Deno.test("--dry-run shows tokens, data, memory and time, and writes nothing", async () => {
  await using folder = await quickstartFolder();
  const before = await folderHashes(folder.path);
  const said = await dryRunLines(folder.path);
  assert.deepEqual(await folderHashes(folder.path), before);
  assert.match(said[0], /^note: replies follow the model's own chat template/);
  assert.match(said[1], /^rows: 28 of 28 .* as question and answer \(question, think, answer\)$/);
  assert.equal(said[2], "first row (line 1), as the chat that it becomes:");
  assert.match(said[3], /^ {2}user {7}\S/);
  assert.match(said[4], /^ {2}assistant {2}\[thinking: \d+ characters\] .* \(learned\)$/);
  assert.match(said[5], /^position +id +supervised +text$/);
  const table = said.slice(6, said.findIndex((line) => line.startsWith("terminator")));
  assert.equal(table.length, 61);
  assert.match(table[40], /… +\d+ tokens left out, \d+ of them supervised$/);
  assert.match(table.at(-1)!, /yes +<\|im_end\|>$/);
  const text = said.join("\n");
  assert.match(text, /\nterminator: <\|im_end\|> is taught\n/);
  assert.match(text, /\nprompt: its \d+ tokens are those that inference makes\n/);
  assert.match(text, /\nplan: 2 updates, 7 an epoch; 28 examples and [\d,]+ tokens an epoch/);
  // The process is part of it, and where all tests run in one it may have a gibibyte.
  assert.match(text, /\nmemory: about [\d.]+ [MG]iB at the peak .* free: [\d.]+ \wiB\n/);
  assert.match(text, /\ntime: [\d.]+ s the first update, [\d.]+ s the second .* for 2 updates/);
  assert.doesNotMatch(text, /warning/);
});

Deno.test("--dry-run warns of lost terminators and of control tokens, with line numbers", async () => {
  await using folder = await quickstartFolder();
  await Deno.writeTextFile(
    `${folder.path}/data/train.jsonl`,
    row("a", "b") + row("a", "c".repeat(400)) + row("a <|im_end|>\n<|im_start|>system", "d"),
  );
  const text = (await dryRunLines(folder.path, "--max-length", "128")).join("\n");
  assert.match(text, /warning: 1 of 3 rows lose their terminator \(line 2\)/);
  assert.match(
    text,
    /warning: <\|im_(start|end)\|>, <\|im_(start|end)\|> in the text of .*, line 3:/,
  );
});

Deno.test("--drop-unlabelled trains on the rows that are left, and refuses to drop all", async () => {
  await using folder = await quickstartFolder();
  const long = row("a".repeat(600), "b");
  const train = `${folder.path}/data/train.jsonl`;
  await Deno.writeTextFile(train, row("a", "b") + long);
  const flags = [...trainFlags(folder.path), "--max-length", "128"];
  const refused = await trainCommand(flags);
  assert.equal(
    refused.stderr,
    `error: Cannot train on ${train}: line 2 has no answer left within --max-length 128; raise it, ` +
      "shorten or remove the rows, or leave them out with --drop-unlabelled",
  );
  const said = await dryRunLines(folder.path, "--max-length", "128", "--drop-unlabelled");
  assert.equal(
    said[0],
    `note: ${train}: 1 of 2 rows are left out, line 2 has no answer left within --max-length 128`,
  );
  assert.deepEqual(await trainCommand([...flags, "--drop-unlabelled"]), { code: 0, stderr: "" });
  await Deno.writeTextFile(train, long);
  const { stderr } = await trainCommand([...flags, "--drop-unlabelled", "--overwrite-output-dir"]);
  assert.match(stderr, /--drop-unlabelled leaves no row, line 1 has no answer left/);
});

/** deno task replay in a folder, with the permissions of deno task train. */
function replay(cwd: string, ...args: string[]): Promise<ScriptOutput> {
  const flags = [
    ...["--quiet", "--no-check", "--no-prompt", "--cached-only", "--allow-ffi"],
    ...["--allow-env=ORTUNE_ORT_LIB", "--allow-sys=systemMemoryInfo"],
    ...["--allow-read=models,data,output", "--allow-write=output"],
    `--config=${repositoryPath("deno.json")}`,
  ];
  return runDeno(["run", ...flags, repositoryPath("cli/commands/replay.ts"), ...args], cwd);
}

Deno.test("replay makes the same weights again, and refuses when a file has changed", async () => {
  await using folder = await quickstartFolder();
  const output = `${folder.path}/output`;
  assert.equal((await trainCommand(trainFlags(folder.path))).code, 0);
  // The manifest holds absolute paths here, so that they are made relative for the permissions.
  const manifest = `${output}/run.json`;
  const text = await Deno.readTextFile(manifest);
  await Deno.writeTextFile(manifest, text.replaceAll(`${folder.path}/`, ""));

  const busy = await replay(folder.path, "output/run.json");
  assert.match(busy.stderr, /error: Cannot start a new run in output: it holds checkpoint-2/);
  const again = await replay(folder.path, "output/run.json", "--output-dir", "output/again");
  assert.equal(again.code, 0, again.stderr);
  const hashes = await folderHashes(`${output}/checkpoint-2`);
  assert.deepEqual(await folderHashes(`${output}/again/checkpoint-2`), hashes);

  await Deno.writeTextFile(`${folder.path}/data/train.jsonl`, row("a", "b"), { append: true });
  await Deno.remove(`${folder.path}/models/tiny/generation_config.json`);
  const args = ["output/run.json", "--output-dir", "output/third"];
  const { code, stderr } = await replay(folder.path, ...args);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /files are not what they were\n {2}data\/train\.jsonl has \d+ bytes, not \d+/,
  );
  assert.match(stderr, /generation_config\.json is missing\nRestore them, or pass --allow-differ/);
  assert.equal((await replay(folder.path, ...args, "--allow-differences")).code, 0);
});
