import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { type JournalEntry, openJournal } from "./journal.ts";

interface Entry extends JournalEntry {
  readonly text: string;
}

const facts = { model: "abc", max_new_tokens: 8, adapter: null };
const parse = (value: Readonly<Record<string, unknown>>): Entry | undefined =>
  typeof value.row === "number" && typeof value.key === "string" && typeof value.text === "string"
    ? { row: value.row, key: value.key, text: value.text }
    : undefined;

Deno.test("a journal goes on after its last whole line", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/replies.jsonl`;
  const first = await openJournal(path, { facts, parse });
  await first.add({ row: 1, key: "k", text: "one\n" });
  await first.add({ row: 0, key: "k", text: "zero" });
  await Deno.writeTextFile(path, '{"row":2,"key":"k","te', { append: true });
  const second = await openJournal(path, { facts, parse });
  assert.deepEqual([...second.entries.keys()], [1, 0]);
  await second.add({ row: 2, key: "k", text: "two" });
  const third = await openJournal(path, { facts, parse });
  assert.deepEqual([...third.entries.values()].map(({ text }) => text), ["one\n", "zero", "two"]);
});

Deno.test("a journal refuses other facts and lines that are no results", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/replies.jsonl`;
  await openJournal(path, { facts, parse });
  await assert.rejects(openJournal(path, { facts: { ...facts, model: "def" }, parse }), {
    message:
      `Cannot go on with ${path}: its results were made with model "abc" in place of "def"; give ` +
      "another --output-dir, or remove the file to begin anew",
  });
  await Deno.writeTextFile(path, '{"row":"x"}\n', { append: true });
  await assert.rejects(openJournal(path, { facts, parse }), {
    message: new RegExp(`^${path}:2: expected a result as deno task eval keeps it, got `),
  });
  await Deno.writeTextFile(path, "hello\n");
  await assert.rejects(openJournal(path, { facts, parse }), {
    message: new RegExp(`^${path}:1: expected a result`),
  });
});
