/**
 * Replies of one model, for `deno task eval`. In: folders and rows. Out: a reply a row, each kept in a journal as
 * soon as it is there.
 */

import { loadModel } from "../../model/engine/load_model.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { checkDevice, describeWebGpu } from "../../model/engine/check_webgpu.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { trainedRounding } from "../../lora/trained_base.ts";
import { type ChatContext, openChat, withTaughtEnds } from "../../infer/chat/chat_context.ts";
import { answerRows } from "../../infer/evaluate/answer_rows.ts";
import type { EvalRow } from "../../infer/evaluate/asked_row.ts";
import { type EncodedRow, encodeRow } from "../../infer/evaluate/encode_row.ts";
import { type JournalFacts, openJournal } from "../../infer/evaluate/journal.ts";
import {
  formatKeptReply,
  type KeptReply,
  parseKeptReply,
} from "../../infer/evaluate/kept_reply.ts";
import { createRowGenerator, rowWindow } from "../../infer/evaluate/row_generator.ts";
import {
  type GenerationConfig,
  readGenerationConfig,
} from "../../infer/generate/generation_config.ts";
import type { GenerateOptions } from "../../infer/generate/generation.ts";
import { sha256 } from "../../train/checkpoints/checkpoint.ts";
import { hashFolder } from "../../train/runs/collect_run_facts.ts";
import type { FileHasher } from "../../train/runs/file_hasher.ts";
import { checkAdapter, type FoundFolders } from "../../train/runs/find_model.ts";
import { createProgressLine } from "../../train/runs/progress_line.ts";
import { during } from "../../train/runs/wait_line.ts";
import { computePrecision, resolvePrecision } from "../../train/training_precision.ts";
import { formatDuration } from "../../train/track/format_units.ts";
import { terminal } from "../terminal/terminal.ts";

/** How replies are made. */
export interface EvalModelOptions {
  readonly runtime: Runtime;
  readonly how: Omit<GenerateOptions, "signal">;
  readonly losses: boolean;
  readonly batchSize: number;
  readonly cacheBytes: number;
  readonly system?: string;
  readonly chatTemplate?: string;
  /** Makes no reply: all must be there. */
  readonly scoreOnly: boolean;
  /** The journal's path. */
  readonly journal: string;
  /** One for all models, as adapters share their base. */
  readonly hash: FileHasher;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** What a model answered. */
export interface AnsweredRows {
  readonly encoded: readonly EncodedRow[];
  /** A reply a row, in order. */
  readonly replies: readonly KeptReply[];
}

/** Hexadecimal digits of hashes in a journal. */
const HASH_DIGITS = 16;

/**
 * Answers the rows that have no reply yet.
 *
 * @throws {Error} where kept replies are of another model, other settings or other rows
 */
export async function evalModel(
  { model, adapter, config, name }: FoundFolders & { readonly name: string },
  rows: readonly EvalRow[],
  options: EvalModelOptions,
): Promise<AnsweredRows> {
  const { runtime, how, losses, cacheBytes, system, chatTemplate, journal, hash, say } = options;
  const chat = await openChat({ model, adapter, system, chatTemplate });
  for (const note of chat.notes) say(note);
  const notes = adapter === undefined ? [] : await checkAdapter(adapter, config);
  const own = await readGenerationConfig(model, { config, tokenizer: chat.tokenizer });
  const generation = withTaughtEnds(own, chat.eosTokenIds);
  for (const note of [...config.notes, ...notes, ...generation.notes]) say(`note: ${note}`);
  const window = rowWindow(runtime, config, cacheBytes);
  const { tokenizer, enableThinking } = chat;
  const encoded = rows.map((row) =>
    encodeRow(row, { tokenizer, system: chat.system, enableThinking, window })
  );
  const facts = await during(
    `hashing ${name}`,
    () => factsOf({ model, adapter }, { runtime, generation, how, losses, hash }),
    terminal,
  );
  const { entries, add } = await openJournal(journal, {
    facts,
    parse: parseKeptReply,
    format: formatKeptReply,
  });
  for (const [row, { key }] of entries) {
    if (encoded[row] === undefined || encoded[row].key === key) continue;
    const { file, line } = rows[row].where;
    throw new Error(
      `Cannot go on with ${journal}: ${file}:${line} asks or answers something else than when its ` +
        "reply was made; give another --output-dir, or remove the file to begin anew",
    );
  }
  const open = [...encoded.keys()].filter((row) => !entries.has(row));
  if (open.length > 0 && options.scoreOnly) {
    throw new Error(
      `Cannot score ${name}: ${open.length} of ${rows.length} rows have no reply in ${journal}; leave ` +
        "--score-only out to make them",
    );
  }
  if (open.length < rows.length) say(`${name}: ${rows.length - open.length} replies are kept`);
  if (open.length > 0) {
    await answerOpen(open.map((row) => ({ row, encoded: encoded[row] })), {
      ...options,
      folders: { model, adapter, config },
      chat,
      generation,
      name,
      total: rows.length,
      add,
    });
  }
  return { encoded, replies: [...encoded.keys()].map((row) => entries.get(row)!) };
}

/** What replies depend on besides the row. */
async function factsOf(
  { model, adapter }: { readonly model: string; readonly adapter?: string },
  { runtime, generation, how, losses, hash }: {
    readonly runtime: Runtime;
    readonly generation: GenerationConfig;
    readonly how: EvalModelOptions["how"];
    readonly losses: boolean;
    readonly hash: FileHasher;
  },
): Promise<JournalFacts> {
  const folder = async (path: string, settings: string): Promise<string> =>
    (await hashFolder(path, settings, hash)).slice(0, HASH_DIGITS);
  const { maxNewTokens, greedy, temperature, topP, topK, minP, repetitionPenalty, seed } = how;
  const { notes: _notes, stopTexts, ...ends } = generation;
  return {
    model: await folder(model, "config.json"),
    adapter: adapter === undefined ? null : await folder(adapter, "adapter_config.json"),
    generation: sha256(JSON.stringify([ends, stopTexts !== undefined])).slice(0, HASH_DIGITS),
    device: runtime.device.kind,
    max_new_tokens: maxNewTokens ?? null,
    do_sample: !greedy,
    temperature: temperature ?? null,
    top_p: topP ?? null,
    top_k: topK ?? null,
    min_p: minP ?? null,
    repetition_penalty: repetitionPenalty ?? null,
    seed: greedy ? null : seed ?? null,
    loss: losses,
  };
}

async function answerOpen(
  open: readonly { readonly row: number; readonly encoded: EncodedRow }[],
  { runtime, how, losses, batchSize, cacheBytes, signal, say, ...rest }: EvalModelOptions & {
    readonly folders: {
      readonly model: string;
      readonly adapter?: string;
      readonly config: ModelConfig;
    };
    readonly chat: ChatContext;
    readonly generation: GenerationConfig;
    readonly name: string;
    readonly total: number;
    readonly add: (entry: KeptReply) => Promise<void>;
  },
): Promise<void> {
  const { folders: { model, adapter, config }, chat, generation, name, total, add } = rest;
  await using resources = new AsyncDisposableStack();
  const checked = checkDevice(runtime);
  if (checked) say(`note: ${describeWebGpu(checked)}`);
  const slot = await during(`loading ${name}`, async () => {
    const precision = computePrecision(resolvePrecision(runtime.device, undefined));
    const rounded = await trainedRounding(adapter);
    const { weights } = await loadModel(runtime, model, { precision, rounded, signal });
    resources.use(weights);
    if (adapter === undefined) return { weights };
    const adapted = await loadAdapter(runtime, adapter, { config, base: weights, signal });
    return resources.use(adapted);
  }, terminal);
  const { generator, concurrency } = resources.use(
    createRowGenerator(runtime, { config, slot, generation, batchSize, cacheBytes }),
  );
  const line = createProgressLine(terminal);
  const began = performance.now();
  const keys = new Map(open.map(({ row, encoded }) => [row, encoded.key]));
  let done = 0;
  try {
    const { tokenizer } = chat;
    const replies = answerRows(open, { generator, tokenizer, concurrency, how, losses, signal });
    for await (const reply of replies) {
      await add({ ...reply, key: keys.get(reply.row)! });
      done++;
      const left = (performance.now() - began) / 1000 / done * (open.length - done);
      line.update({
        fraction: done / open.length,
        whole: done === open.length,
        describe: () =>
          `${name}: ${total - open.length + done} of ${total} rows answered, ${
            formatDuration(left)
          } left`,
      });
    }
  } catch (cause) {
    line.finish();
    if (signal.aborted) {
      say(
        `${name}: ${
          total - open.length + done
        } of ${total} replies are kept; the same command goes on`,
      );
    }
    throw cause;
  }
  line.finish();
}
