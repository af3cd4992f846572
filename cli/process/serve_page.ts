/** A page on this machine alone. In: a handler of requests. Out: a server, until it is aborted. */

import { listen, type Listening } from "../../infer/serve/listen.ts";
import { giveUp } from "./give_up.ts";

/** Only this machine: such pages ask for no password. */
export const HOSTNAME = "127.0.0.1";
/** Milliseconds for answers under way when it ends. */
const LAST_WORDS = 1000;

/** What {@linkcode servePage} is given. */
export interface ServePageOptions {
  /** 0 for any free one. */
  readonly port: number;
  readonly signal: AbortSignal;
  /** Told the port. */
  readonly onListen: (port: number) => void;
  /** What is answered where the handler fails; the error is printed. */
  readonly failed: string;
  /** Milliseconds for a request's headers. @default {10000} */
  readonly headersDeadline?: number;
}

/**
 * Serves until it is aborted. Of the process's permissions `net` is given up once it listens.
 *
 * @throws {Error} where the port is taken
 */
export async function servePage(
  handler: (request: Request) => Response | Promise<Response>,
  { port, signal, onListen, failed, headersDeadline }: ServePageOptions,
): Promise<void> {
  const answer = async (request: Request): Promise<Response> => {
    try {
      return await handler(request);
    } catch (cause) {
      report(cause);
      return new Response(`${failed}\n`, { status: 500 });
    }
  };
  let server: Listening;
  try {
    server = await listen(answer, { hostname: HOSTNAME, port, onError: report, headersDeadline });
  } catch (cause) {
    const { code } = cause as { readonly code?: string };
    if (code !== "EADDRINUSE") throw cause;
    throw new Error(
      `Cannot listen on ${HOSTNAME}:${port}: another program does; give another --port`,
      { cause },
    );
  }
  await giveUp("net");
  onListen(server.port);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const closed = server.close();
  const late = setTimeout(() => server.destroy(), LAST_WORDS);
  await closed;
  clearTimeout(late);
}

function report(cause: unknown): void {
  console.error(`error: ${cause instanceof Error ? cause.message : cause}`);
}
