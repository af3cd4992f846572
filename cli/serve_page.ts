/** A page on this machine alone. In: a handler of requests. Out: a server, until it is aborted. */

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
 * Serves until it is aborted.
 *
 * @throws {Error} where the port is taken
 */
export async function servePage(
  handler: (request: Request) => Response | Promise<Response>,
  { port, signal, onListen, failed }: ServePageOptions,
): Promise<void> {
  let server: Deno.HttpServer;
  try {
    server = Deno.serve({
      hostname: HOSTNAME,
      port,
      signal,
      onListen: (address) => onListen(address.port),
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
  await server.finished;
}
