/**
 * The real server while a reply is being made whose every step blocks the event loop for a while, as
 * a large model's does. Prints its port and, when it is interrupted, the times
 * of its steps.
 */

import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { EventTurns } from "../../model/engine/event_turns.ts";
import { BatchGenerator } from "../../infer/generate/batch_generator.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { ownHosts } from "../../infer/serve/access.ts";
import { ChatService } from "../../infer/serve/chat_service.ts";
import { createHandler } from "../../infer/serve/handler.ts";
import { listen } from "../../infer/serve/listen.ts";
import { Metrics } from "../../infer/serve/metrics.ts";
import { randomWeights, tinyConfig } from "./tiny_model.ts";

const STEP = Number(Deno.args[0]);
/** When the steps ended, by the clock that other processes have, too. */
const times: number[] = [];
const runtime = new Runtime({ threads: 1 });
const config = tinyConfig({
  vocab_size: 261,
  eos_token_id: 258,
  max_position_embeddings: 8192,
});
const weights = randomWeights(runtime, config);
const turns = new EventTurns();
const batch = new BatchGenerator({ runtime, config, slots: [{ weights }], turns });
const metrics = new Metrics();
const service = new ChatService({
  models: [{ id: "base", generator: batch.generator() }],
  tokenizer: createTokenizer(byteTokenizerFiles()),
  window: batch.window,
  maxNewTokens: 64,
  metrics,
  assertRoom: () => batch.assertRoom(),
});
let isOwnHost = (_: string): boolean => false;
const handler = createHandler({
  service,
  metrics,
  isOwnHost: (host) => isOwnHost(host),
  load: () => batch.load,
  onError: console.error,
});
const hostname = "127.0.0.1";
const server = await listen(handler, {
  hostname,
  port: 0,
  onError: console.error,
  onActivity: () => turns.expectMore(),
});
isOwnHost = ownHosts({ hostname, port: server.port });
Deno.addSignalListener("SIGINT", () => {
  console.log(`steps ${JSON.stringify(times)}.`);
  Deno.exit(0);
});

const reply = batch.generator().generate([1, 2, 3], { maxNewTokens: 8000, ignoreEos: true });
for await (const _ of reply) {
  const end = performance.now() + STEP;
  while (performance.now() < end);
  if (times.push(Date.now()) === 3) console.log(`port ${server.port}.`);
}
