/**
 * A way to a hub that gives the answers of a test.
 *
 * In: what it answers to an address, or throws. Out: a client, what was asked, and how long was waited between tries.
 */

import type { HubClient } from "../../hub/hub_client.ts";

/** A client with what came of it. */
export interface ScriptedHub {
  readonly client: HubClient;
  /** Requests in their order. */
  readonly asked: { readonly url: string; readonly headers: Record<string, string> }[];
  /** Waits between tries, in milliseconds. */
  readonly waits: number[];
}

/** Makes the client; waits take no time. */
export function scriptedHub(
  answer: (url: string, init: RequestInit, count: number) => Response | Promise<Response>,
  more: Partial<HubClient> = {},
): ScriptedHub {
  const asked: ScriptedHub["asked"] = [];
  const waits: number[] = [];
  const client: HubClient = {
    source: "huggingface",
    endpoint: "https://hub.example",
    token: undefined,
    fetch: async (input, init = {}) => {
      const headers = Object.fromEntries(new Headers(init.headers));
      asked.push({ url: String(input), headers });
      return await answer(String(input), init, asked.length - 1);
    },
    signal: undefined,
    stallMilliseconds: 20_000,
    sleep: (wait) => Promise.resolve(void waits.push(wait)),
    random: () => 0.5,
    ...more,
  };
  return { client, asked, waits };
}

/** Catches what a promise is rejected with. */
export function reasonOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(() => {
    throw new Error("It was not rejected");
  }, (error) => error as Error);
}
