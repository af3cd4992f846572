/**
 * The real server over models whose replies a test writes.
 *
 * In: a script from a prompt to the pieces of a reply. Out: a listening server, and what it was
 * asked and made.
 */

import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import type { Generator } from "../../infer/generate/generator.ts";
import type { FinishReason, GenerateOptions, Generation } from "../../infer/generate/generation.ts";
import { type AccessOptions, ownHosts } from "../../infer/serve/access.ts";
import { ChatService } from "../../infer/serve/chat_service.ts";
import { createHandler, type HandlerOptions } from "../../infer/serve/handler.ts";
import { listen, type ListenOptions } from "../../infer/serve/listen.ts";
import { Metrics } from "../../infer/serve/metrics.ts";

/** Makes a reply of a prompt, piece by piece; the signal is aborted when nobody wants more. */
export type Script = (
  prompt: string,
  options: GenerateOptions & { readonly model: string },
) => AsyncIterable<string>;

/** A running server. */
export interface ScriptedServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly service: ChatService;
  /** Tokens made so far, in all replies. */
  readonly made: number;
  /** Replies that were left before their end. */
  readonly left: number;
  /** Errors that were reported. */
  readonly errors: unknown[];
}

/** How a server is made. */
export interface ScriptedServerOptions extends Pick<AccessOptions, "apiKey" | "allowOrigin"> {
  /** @default ["base"] */
  readonly models?: readonly string[];
  /** System prompts of models by their names. @default none */
  readonly systems?: Readonly<Record<string, string>>;
  readonly examples?: HandlerOptions["examples"];
  readonly body?: HandlerOptions["body"];
  readonly listen?: Partial<ListenOptions>;
  readonly port?: number;
}

const tokenizer = createTokenizer(byteTokenizerFiles());
const WINDOW = 1 << 20;

/** Starts a server on a free port of this machine. */
export async function scriptedServer(
  script: Script,
  {
    models = ["base"],
    systems = {},
    examples,
    apiKey,
    allowOrigin,
    body,
    listen: limits,
    port = 0,
  }: ScriptedServerOptions = {},
): Promise<ScriptedServer> {
  const counts = { made: 0, left: 0 };
  const errors: unknown[] = [];
  const metrics = new Metrics();
  const service = new ChatService({
    models: models.map((id, i) => ({
      id,
      ...(i === 0 ? {} : { parent: models[0] }),
      system: systems[id],
      generator: scripted(script, id, counts),
    })),
    tokenizer,
    window: WINDOW,
    maxNewTokens: WINDOW,
    metrics,
  });
  let isOwnHost = (_: string): boolean => false;
  const onError = (cause: unknown): void => void errors.push(cause);
  const handler = createHandler({
    service,
    metrics,
    examples,
    apiKey,
    allowOrigin,
    body,
    isOwnHost: (host) => isOwnHost(host),
    load: () => ({ running: 0, waiting: 0, reservedPositions: 0, positions: WINDOW, steps: 0 }),
    onError,
  });
  const hostname = "127.0.0.1";
  const server = await listen(handler, { hostname, port, onError, ...limits });
  isOwnHost = ownHosts({ hostname, port: server.port });
  return {
    url: `http://${hostname}:${server.port}`,
    port: server.port,
    service,
    errors,
    get made(): number {
      return counts.made;
    },
    get left(): number {
      return counts.left;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      service.abort();
      const closed = server.close();
      server.destroy();
      await closed;
    },
  };
}

/** A generator that makes a script's text, a token whenever it is asked for one. */
function scripted(
  script: Script,
  model: string,
  counts: { made: number; left: number },
): Generator {
  return {
    generate(promptIds: ArrayLike<number>, options: GenerateOptions = {}): Generation {
      const left = new AbortController();
      const { signal: outer, maxNewTokens = Infinity } = options;
      const signal = outer ? AbortSignal.any([outer, left.signal]) : left.signal;
      const prompt = tokenizer.decode(promptIds);
      let finishReason: FinishReason | undefined;
      async function* tokens(): AsyncGenerator<number, void> {
        let made = 0;
        for await (const text of script(prompt, { ...options, model, signal })) {
          for (const id of tokenizer.encode(text)) {
            if (signal.aborted) {
              finishReason ??= "aborted";
              return;
            }
            counts.made++;
            yield id;
            if (++made < maxNewTokens) continue;
            finishReason = "length";
            return;
          }
        }
        finishReason ??= signal.aborted ? "aborted" : "eos";
      }
      const source = tokens();
      signal.addEventListener("abort", () => {
        if (finishReason === undefined) counts.left++;
        finishReason ??= "aborted";
      });
      const generation: Generation = {
        get finishReason(): FinishReason | undefined {
          return finishReason;
        },
        next: () => source.next(),
        async return(): Promise<IteratorResult<number, void>> {
          left.abort();
          return await source.return();
        },
        [Symbol.asyncIterator]: () => generation,
      };
      return generation;
    },
    [Symbol.dispose]: () => {},
  };
}
