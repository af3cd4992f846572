/**
 * The server's handler over the small fixture model, several replies in one batch.
 *
 * In: the path and body of a request. Out: the response.
 */

import assert from "node:assert/strict";
import { loadTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { BatchGenerator } from "../../infer/generate/batch_generator.ts";
import { parseGenerationConfig } from "../../infer/generate/generation_config.ts";
import { createGenerator, type Generator } from "../../infer/generate/generator.ts";
import { ChatService } from "../../infer/serve/chat_service.ts";
import { createHandler } from "../../infer/serve/handler.ts";
import { Metrics } from "../../infer/serve/metrics.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { fixturePath, loadFixtureModel } from "./parity_fixture.ts";

/** A server without a port. */
export interface FixtureServer extends AsyncDisposable {
  readonly tokenizer: Tokenizer;
  /** Makes one reply at a time, of the same model. */
  readonly generator: Generator;
  readonly handler: (request: Request) => Promise<Response>;
  /** Posts a body, with the model's name. */
  post(path: string, body: Readonly<Record<string, unknown>>): Promise<Response>;
  /** The same, where the answer must be a success: its JSON. */
  // deno-lint-ignore no-explicit-any -- answers of many shapes, which tests look into
  json(path: string, body: Readonly<Record<string, unknown>>): Promise<any>;
}

/** Opens the server. */
export async function fixtureServer(
  fields: Readonly<Record<string, unknown>> = {},
): Promise<FixtureServer> {
  const resources = new AsyncDisposableStack();
  const runtime = resources.use(new Runtime({ threads: 2 }));
  const { config, weights, expected } = await loadFixtureModel(runtime, "qwen3");
  await expected[Symbol.asyncDispose]();
  resources.use(weights);
  const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
  const json = { eos_token_id: 298, ...fields };
  const generation = parseGenerationConfig(json, { config, tokenizer });
  const batch = resources.use(
    new BatchGenerator({ runtime, config, slots: [{ weights }], generation }),
  );
  const generator = resources.use(createGenerator({ runtime, config, weights, generation }));
  const metrics = new Metrics();
  const handler = createHandler({
    service: new ChatService({
      models: [{ id: "base", generator: batch.generator() }],
      tokenizer,
      window: batch.window,
      maxNewTokens: 400,
      metrics,
    }),
    metrics,
    isOwnHost: () => true,
    load: () => batch.load,
    onError: (cause) => assert.fail(String(cause)),
  });
  const post: FixtureServer["post"] = (path, body) =>
    handler(
      new Request(`http://server${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "base", ...body }),
      }),
    );
  return {
    tokenizer,
    generator,
    handler,
    post,
    async json(path, body) {
      const response = await post(path, body);
      const answer = await response.json();
      assert.equal(response.status, 200, JSON.stringify(answer));
      return answer;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
