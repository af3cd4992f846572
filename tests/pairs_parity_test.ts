/**
 * Training on pairs against TRL 1.16's DPOTrainer and ORPOTrainer (fixtures/pairs): whole runs of all weights and of
 * adapters, figure by figure, with an accumulation of 2 and 4 and batches that are not full; and rows.
 */

import assert from "node:assert/strict";
import { encodeRecord } from "../data/examples/encode_record.ts";
import { parseRecord } from "../data/records/record.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { followPairs, PAIR_RUNS, pairObjectiveOf } from "./support/pair_series.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { THREADS } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";

/** A row, and what TRL makes of it. */
interface EncodedRow {
  readonly row: Record<string, unknown>;
  readonly prompt: readonly number[];
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
}

/** Of other runs the first 6 of their 20 updates are made: all were compared once. */
const WHOLE = ["DPO", "ORPO of a new adapter"];

for (const [name, series] of Object.entries(PAIR_RUNS)) {
  Deno.test(`${name} follows TRL`, async () => {
    using runtime = new Runtime({ threads: THREADS });
    const options = { runtime, pairs: pairObjectiveOf(series) };
    const { adapter } = series.args;
    await using trainer = await (adapter === undefined
      ? createFullTrainer(fixturePath("qwen3"), options)
      : createLoraTrainer(fixturePath("qwen3"), {
        ...options,
        initAdapter: fixturePath(`../lora/qwen3/${adapter}`),
      }));
    const errors = await followPairs(trainer, series, {
      updates: WHOLE.includes(name) ? undefined : 6,
    });
    if (Deno.env.get("ORTUNE_REPORT")) {
      console.log(name, errors);
    }
  });
}

Deno.test("rows of pairs are encoded as TRL does, but for the line break after a chat's end", async () => {
  const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
  const rows: readonly EncodedRow[] = JSON.parse(
    await Deno.readTextFile(repositoryPath("tests/fixtures/pairs/rows.json")),
  );
  for (const [index, { row, prompt, ...replies }] of rows.entries()) {
    const record = parseRecord(row, { file: "rows.jsonl", line: index + 1 });
    const made = encodeRecord(record, { tokenizer, maxLength: 512 });
    assert.equal(made.length, 2);
    for (const [i, half] of (["chosen", "rejected"] as const).entries()) {
      const ids = [...made[i].inputIds];
      const whole = [...prompt, ...replies[half]];
      const end = whole.lastIndexOf(tokenizer.eosTokenId!) + 1;
      assert.equal(tokenizer.decode(whole.slice(end)).trim(), "");
      assert.deepEqual(ids, whole.slice(0, end), `row ${index} ${half}`);
    }
  }
});
