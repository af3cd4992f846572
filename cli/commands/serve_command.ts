/** The command behind `deno task serve`. In: flags. Out: a server, until Ctrl-C. */

import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Option } from "commander";
import { EventTurns } from "../../model/engine/event_turns.ts";
import type { Quantization } from "../../model/quantization.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { findExported } from "../../infer/export/exported_generator.ts";
import { BatchGenerator } from "../../infer/generate/batch_generator.ts";
import type { AdapterSlot } from "../../infer/generate/batch_decoder.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { trainedRounding } from "../../lora/trained_base.ts";
import { bracketed, isLoopback, ownHosts } from "../../infer/serve/access.ts";
import { ChatService, type ServedModel } from "../../infer/serve/chat_service.ts";
import { allowedOrigins, type AllowOrigin } from "../../infer/serve/cross_origin.ts";
import { createHandler } from "../../infer/serve/handler.ts";
import { listen, type Listening } from "../../infer/serve/listen.ts";
import { Metrics } from "../../infer/serve/metrics.ts";
import { type ChatContext, openChat, withTaughtEnds } from "../../infer/chat/chat_context.ts";
import {
  count,
  countOrZero,
  DEVICE_WITHOUT_CUDA_HELP,
  deviceWithoutCuda,
  positive,
  WITHOUT_CUDA,
} from "../arguments/flag_values.ts";
import { checkDevice, describeWebGpu } from "../../model/engine/check_webgpu.ts";
import { checkAdapter, findFolders } from "../../train/runs/find_model.ts";
import { readUpdate } from "../../train/track/dashboard_data.ts";
import { folderName } from "../../train/runs/folder_name.ts";
import { createWaitLine } from "../../train/runs/wait_line.ts";
import { terminal } from "../terminal/terminal.ts";
import { giveUp } from "../process/give_up.ts";
import { openRuntime } from "../process/open_runtime.ts";
import { port } from "../arguments/port.ts";
import type { CommandContext, CommandDefinition } from "../process/run_command.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { plural } from "../../internal/plural.ts";

/** Parsed flags of the server. */
export interface ServeFlags {
  readonly model?: string;
  readonly adapter: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly allowHost: readonly string[];
  readonly allowOrigin: readonly string[];
  readonly apiKey?: string;
  readonly modelName?: string;
  readonly adapterName: readonly string[];
  readonly system?: string;
  readonly chatTemplate?: string;
  readonly maxNewTokens: number;
  readonly maxBatchSize: number;
  readonly maxQueue: number;
  readonly kvCacheMib: number;
  readonly grace: number;
  readonly device: string;
  readonly threads?: number;
}

const MIB = 2 ** 20;
/** Milliseconds for the last events of replies that are over. */
const LAST_WORDS = 1000;
/** Questions that the page offers, and the most characters of each: they are buttons. */
const EXAMPLES = 4;
const LONGEST_EXAMPLE = 200;

/** The server's flags and what it does. */
export const serve: CommandDefinition<ServeFlags> = {
  name: "deno task serve",
  description: "Answers chats over HTTP as the OpenAI API does, and on a page to chat with.",
  flags: (command) =>
    command
      .option(
        "--model <dir>",
        "model folder, checkpoint, output folder of a run, or a model's id below models/ (default: " +
          "the adapter's base)",
      )
      .addOption(
        new Option(
          "--adapter <dirs...>",
          "folders, checkpoints or runs of adapters, all served beside the model",
        ).default([], "none"),
      )
      .option("--host <address>", "address to listen on", "127.0.0.1")
      .option("--port <number>", "port; 0 for any free one", port, 8000)
      .addOption(
        new Option(
          "--allow-host <names...>",
          "further Host headers to answer, such as chat.lan:8000",
        ).default([], "none"),
      )
      .addOption(
        new Option(
          "--allow-origin <origins...>",
          "other sites whose pages may ask, such as https://chat.example; * for all, with a key only",
        ).default([], "none"),
      )
      .option("--api-key <key>", "token that requests must bear (better: ORTUNE_API_KEY)")
      .option("--model-name <name>", "what requests call the model (default: its folder)")
      .addOption(
        new Option(
          "--adapter-name <names...>",
          "what requests call the adapters, in their order",
        ).default([], "their folders"),
      )
      .option(
        "--system <text>",
        "system prompt of chats that have none; empty for none (default: of each model the one it was " +
          "trained with, else none)",
      )
      .option("--chat-template <path>", "Jinja file of a chat template in place of the models'")
      .option(
        "--max-new-tokens <n>",
        "most tokens of a reply, whatever a request or the model asks for",
        count,
        2048,
      )
      .option("--max-batch-size <n>", "most replies made at once", count, 16)
      .option("--max-queue <n>", "most replies that wait; more get status 429", countOrZero, 8)
      .option("--kv-cache-mib <n>", "most memory for keys and values, in MiB", count, 1024)
      .option("--grace <seconds>", "time for replies under way after Ctrl-C", positive, 10)
      .option("--device <name>", DEVICE_WITHOUT_CUDA_HELP, deviceWithoutCuda, "cpu")
      .option("--threads <n>", "processor threads (default: all cores)", count),
  run,
};

async function run({ options, signal }: CommandContext<ServeFlags>): Promise<void> {
  const { host } = options;
  const apiKey = options.apiKey ?? (Deno.env.get("ORTUNE_API_KEY") || undefined);
  if (!isLoopback(host) && apiKey === undefined) {
    throw new UsageError(
      `Cannot listen on ${host} for everyone: set ORTUNE_API_KEY or --api-key, or listen on 127.0.0.1`,
    );
  }
  const allowOrigin = options.allowOrigin.length > 0
    ? originsOf(options.allowOrigin, apiKey)
    : undefined;
  if (options.model === undefined && options.adapter.length === 0) {
    throw new UsageError("Cannot serve nothing: give --model, or --adapter for one on its base");
  }
  if (options.adapterName.length > options.adapter.length) {
    throw new UsageError(
      `Cannot name ${options.adapterName.length} adapters: there are ${options.adapter.length}`,
    );
  }
  // All adapters are on one base: the model, or what the first one names.
  const { model, config } = await findFolders({
    model: options.model,
    adapter: options.adapter[0],
  });
  const adapters = await Promise.all(
    options.adapter.map(async (adapter) => (await findFolders({ model, adapter })).adapter!),
  );
  if (await findExported(model)) {
    throw new UsageError(
      `Cannot serve the export ${model}: give the checkpoint that it was made from`,
    );
  }
  const rounded = await commonRounding(adapters);
  const adapterNotes: string[] = [];
  for (const adapter of adapters) adapterNotes.push(...await checkAdapter(adapter, config));
  const { system, chatTemplate } = options;
  const base = await openChat({ model, system, chatTemplate });
  const { tokenizer } = base;
  const others = await Promise.all(
    adapters.map((adapter) => openChat({ model, adapter, system, chatTemplate, tokenizer })),
  );
  for (const note of [base, ...others].flatMap(({ notes }) => notes)) console.log(note);
  await using resources = new AsyncDisposableStack();
  const runtime = resources.use(
    openRuntime(options, { config, kinds: WITHOUT_CUDA, say: (line) => console.log(line) }),
  );
  const checked = checkDevice(runtime);
  if (checked) console.log(`note: ${describeWebGpu(checked)}`);
  const loading = resources.use(createWaitLine(terminal));
  loading.doing(`loading ${model}`);
  const { weights } = await loadModel(runtime, model, { rounded, signal });
  resources.use(weights);
  const slots: AdapterSlot[] = [{ weights }];
  for (const adapter of adapters) {
    const adapted = resources.use(
      await loadAdapter(runtime, adapter, { config, base: weights, signal }),
    );
    slots.push({ weights: adapted.weights, linear: adapted.linear });
  }
  loading.done();
  const own = await readGenerationConfig(model, { config, tokenizer });
  // One batch has one set of ends: a model that never writes another's is not ended by it.
  const generation = withTaughtEnds(
    own,
    [base, ...others].flatMap(({ eosTokenIds }) => eosTokenIds),
  );
  for (const note of [...config.notes, ...adapterNotes, ...generation.notes]) {
    console.log(`note: ${note}`);
  }
  const turns = new EventTurns();
  const batch = resources.use(
    new BatchGenerator({
      runtime,
      config,
      slots,
      generation,
      maxRows: options.maxBatchSize,
      maxWaiting: options.maxQueue,
      cacheBytes: options.kvCacheMib * MIB,
      turns,
    }),
  );
  const metrics = new Metrics();
  const service = new ChatService({
    models: named(batch, options, { model, adapters, chats: [base, ...others] }),
    tokenizer,
    window: batch.window,
    maxNewTokens: options.maxNewTokens,
    metrics,
    assertRoom: () => batch.assertRoom(),
  });
  let isOwnHost = (_: string): boolean => false;
  const handler = createHandler({
    service,
    metrics,
    isOwnHost: (each) => isOwnHost(each),
    allowOrigin,
    apiKey,
    system: base.system,
    examples: await trainedQuestions([model, ...adapters]),
    load: () => batch.load,
    onError: report,
  });
  const server = await listening(handler, options, () => turns.expectMore());
  // From here on only others connect; what comes in goes through code of many hands.
  await giveUp("net");
  isOwnHost = ownHosts({ hostname: host, port: server.port, allowed: options.allowHost });
  const url = `http://${bracketed(host)}:${server.port}`;
  console.log(
    `${url}/ is the page, ${url}/v1 the API of ` +
      `${service.models.map(({ id }) => id).join(" and ")}; Ctrl-C ends`,
  );
  await aborted(signal);
  await stop(server, service, options.grace);
}

/** Questions that the runs of these checkpoints answered after training, for the page to offer. */
async function trainedQuestions(folders: readonly string[]): Promise<readonly string[]> {
  const questions = new Set<string>();
  for (const folder of folders) {
    // A folder that may not be read, as under permissions of one's own, has none.
    const update = await readUpdate(dirname(folder), { figures: "", samples: "" })
      .catch(() => undefined);
    for (const { question } of update?.samples.rows ?? []) {
      if (question.trim() !== "" && question.length <= LONGEST_EXAMPLE) questions.add(question);
    }
  }
  return [...questions].slice(-EXAMPLES);
}

/** Whose pages may ask. */
function originsOf(origins: readonly string[], apiKey: string | undefined): AllowOrigin {
  if (origins.includes("*") && apiKey === undefined) {
    throw new UsageError(
      "Cannot let the pages of all sites ask without a key, since every site that is visited could: " +
        "set ORTUNE_API_KEY or --api-key, or name the origins with --allow-origin",
    );
  }
  try {
    return allowedOrigins(origins);
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

/**
 * How the base was rounded that all adapters were trained on: they share one.
 *
 * @throws {UsageError} where they were trained on bases of different bits
 */
async function commonRounding(adapters: readonly string[]): Promise<Quantization | undefined> {
  const all = await Promise.all(adapters.map(trainedRounding));
  const told = all.map((each) => each ? `${each.bits} bits in blocks of ${each.block}` : "float32");
  const other = told.findIndex((each) => each !== told[0]);
  if (other < 0) return all[0];
  throw new UsageError(
    `Cannot serve both adapters on one base: ${adapters[0]} was trained on one in ${told[0]}, ` +
      `${adapters[other]} on one in ${told[other]}; serve each by itself`,
  );
}

/** Names of the models, no two alike, and what makes their replies. */
function named(
  batch: BatchGenerator,
  { modelName, adapterName }: ServeFlags,
  { model, adapters, chats }: {
    readonly model: string;
    readonly adapters: readonly string[];
    /** How the model and each adapter are asked. */
    readonly chats: readonly ChatContext[];
  },
): ServedModel[] {
  const id = modelName ?? folderName(model);
  const served = (slot: number): Omit<ServedModel, "id"> => {
    const { tokenizer, system, enableThinking } = chats[slot];
    return { generator: batch.generator(slot), tokenizer, system, enableThinking };
  };
  const models: ServedModel[] = [{ id, ...served(0) }];
  for (const [i, adapter] of adapters.entries()) {
    const own = adapterName[i] ?? folderName(adapter);
    const taken = (name: string): boolean => models.some((each) => each.id === name);
    let free = own;
    for (let n = 1; taken(free); n++) free = `${own}-adapter${n > 1 ? `-${n}` : ""}`;
    models.push({ id: free, parent: id, ...served(i + 1) });
  }
  return models;
}

async function listening(
  handler: (request: Request) => Promise<Response>,
  { host, port }: ServeFlags,
  onActivity: () => void,
): Promise<Listening> {
  // Node's server would tell of it where nothing can catch it.
  const { state } = await Deno.permissions.query({
    name: "net",
    host: `${bracketed(host)}:${port}`,
  });
  if (state !== "granted") {
    throw new Error(
      `Cannot listen on ${host}: the task may use 127.0.0.1 only; run deno run ` +
        `--allow-net=${bracketed(host)}:${port} and the task's other flags in deno.json with ` +
        "cli/commands/serve.ts",
    );
  }
  try {
    return await listen(handler, { hostname: host, port, onError: report, onActivity });
  } catch (cause) {
    const { code } = cause as { readonly code?: string };
    if (code !== "EADDRINUSE") throw cause;
    throw new Error(
      `Cannot listen on ${host}:${port}: another program does; give another --port`,
      { cause },
    );
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Lets replies under way end, for a while; takes no new ones. */
async function stop(server: Listening, service: ChatService, grace: number): Promise<void> {
  service.close();
  if (service.running > 0) {
    const chats = `${service.running} ${plural(service.running, "chat")}`;
    console.error(`${chats} under way: up to ${grace} s for them; Ctrl-C again ends at once`);
  }
  const closed = server.close();
  const deadline = performance.now() + grace * 1000;
  while (service.running > 0 && performance.now() < deadline) await sleep(20);
  service.abort();
  // What was said last goes out; who does not read it, or never asked anything, is left.
  const left = setTimeout(() => server.destroy(), LAST_WORDS);
  await closed;
  clearTimeout(left);
}

function report(cause: unknown): void {
  console.error(`error: ${cause instanceof Error ? cause.message : cause}`);
}
