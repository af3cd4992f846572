/** A page on this machine alone. In: a handler of requests. Out: a server, until it is aborted. */

import { giveUp } from "./give_up.ts";

/** Only this machine: such pages ask for no password. */
export const HOSTNAME = "127.0.0.1";

/** What {@linkcode servePage} is given. */
export interface ServePageOptions {
  /** 0 for any free one. */
  readonly port: number;
  readonly signal: AbortSignal;
  /** Told the port. */
  readonly onListen: (port: number) => void;
  /** What is answered where the handler fails; the error is printed. */
  readonly failed: string;
}

/**
 * Serves until it is aborted. Of the process's permissions `net` is given up once it listens.
 *
 * @throws {Error} where the port is taken
 */
export async function servePage(
  handler: (request: Request) => Response | Promise<Response>,
  { port, signal, onListen, failed }: ServePageOptions,
): Promise<void> {
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({
      hostname: HOSTNAME,
      port,
      signal,
      onListen() {},
      onError: (error) => {
        console.error(`error: ${error instanceof Error ? error.message : error}`);
        return new Response(`${failed}\n`, { status: 500 });
      },
    }, handler);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AddrInUse)) throw cause;
    throw new Error(
      `Cannot listen on ${HOSTNAME}:${port}: another program does; give another --port`,
      { cause },
    );
  }
  await giveUp("net");
  onListen(server.addr.port);
  await server.finished;
}
