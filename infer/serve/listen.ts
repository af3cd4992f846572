/**
 * HTTP for a handler of web requests, with the limits that a server needs.
 *
 * In: a handler. Out: a listening server. Node's server and not Deno.serve, which waits for ever for
 * a request's headers (measured: 75 s and more) and takes any number of connections.
 */

import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from "node:http";

/** What {@linkcode listen} is given. */
export interface ListenOptions {
  /** The address to listen on. */
  readonly hostname: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Told of errors that no answer can carry. */
  readonly onError: (cause: unknown) => void;
  /** Told of connections, requests and parts of bodies as they come: more may follow at once. */
  readonly onActivity?: () => void;
  /** Milliseconds for a request's headers. @default {10000} */
  readonly headersDeadline?: number;
  /** Milliseconds that a connection without a request is kept. @default {5000} */
  readonly keepAlive?: number;
  /** Milliseconds that a reader may stand still. @default {30000} */
  readonly readerDeadline?: number;
  /** Most connections at once. @default {512} */
  readonly maxConnections?: number;
}

/** A server that listens. */
export interface Listening {
  /** The port that was opened. */
  readonly port: number;
  /** Takes no more connections, and answers once those there are have ended. */
  close(): Promise<void>;
  /** Ends all connections. */
  destroy(): void;
}

/** Headers of clients and browsers have a few hundred bytes. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Milliseconds in which a client that is still sending may read why it was refused. */
const LINGER = 1_000;
/** Bytes that are read of a refused body, for clients that read no answer before all is sent. */
const MAX_DRAINED = 4 * 1024 * 1024;

/**
 * Listens and answers.
 *
 * @throws where the port is taken
 */
export async function listen(
  handler: (request: Request) => Promise<Response>,
  options: ListenOptions,
): Promise<Listening> {
  const { hostname, port, onError, onActivity } = options;
  const {
    headersDeadline = 10_000,
    keepAlive = 5_000,
    readerDeadline = 30_000,
    maxConnections = 512,
  } = options;
  const server: Server = createServer({
    headersTimeout: headersDeadline,
    // The body has a deadline of its own, and long replies have none.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(1_000, headersDeadline),
    keepAliveTimeout: keepAlive,
    maxHeaderSize: MAX_HEADER_BYTES,
  }, (incoming, outgoing) => {
    onActivity?.();
    answer(handler, incoming, outgoing, { readerDeadline, onActivity }).catch((cause) => {
      onError(cause);
      outgoing.destroy();
    });
  });
  server.maxConnections = maxConnections;
  if (onActivity) server.on("connection", onActivity);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: hostname, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", onError);
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
    destroy: () => server.closeAllConnections(),
  };
}

async function answer(
  handler: (request: Request) => Promise<Response>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { readerDeadline, onActivity }: {
    readonly readerDeadline: number;
    readonly onActivity?: () => void;
  },
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  // A socket that breaks is closed: its error has no other news.
  outgoing.on("error", () => {});
  incoming.on("error", () => {});
  const request = toRequest(incoming, gone.signal, onActivity);
  if (!request) {
    outgoing.writeHead(400, { connection: "close" }).end();
    return;
  }
  const response = await handler(request);
  const headers: OutgoingHttpHeaders = Object.fromEntries(response.headers);
  // What was not read of the request would be taken for the next one.
  const unread = !incoming.complete && incoming.method !== "GET";
  if (unread) headers.connection = "close";
  outgoing.writeHead(response.status, headers);
  await send(response, outgoing, { gone: gone.signal, readerDeadline });
  // Read on for a while: closing at once would take the answer away from who is still sending.
  if (unread && !gone.signal.aborted) await ended(incoming, gone.signal);
  outgoing.end();
}

/** Reads on until a request is over, or far and long enough. */
async function ended(incoming: IncomingMessage, gone: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, LINGER);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    incoming.once("end", done);
    gone.addEventListener("abort", done, { once: true });
    let read = 0;
    incoming.on("data", (chunk: Uint8Array) => {
      read += chunk.byteLength;
      // The rest stays with its sender: what is read is garbage, and hundreds of MiB of it are felt.
      if (read > MAX_DRAINED) incoming.pause();
    });
    incoming.resume();
  });
}

/** Undefined where the request line or the headers are none that a web request can have. */
function toRequest(
  incoming: IncomingMessage,
  signal: AbortSignal,
  onActivity?: () => void,
): Request | undefined {
  const { method = "GET", url = "/", headersDistinct } = incoming;
  const hosts = headersDistinct.host ?? [];
  if (hosts.length > 1 || !url.startsWith("/")) return undefined;
  try {
    const headers = new Headers();
    for (const [name, values = []] of Object.entries(headersDistinct)) {
      for (const value of values) headers.append(name, value);
    }
    const bodiless = method === "GET" || method === "HEAD";
    return new Request(new URL(`http://server${url}`), {
      method,
      headers,
      signal,
      ...(bodiless ? {} : { body: toStream(incoming, onActivity), duplex: "half" }),
    });
  } catch {
    return undefined;
  }
}

/** The body as it is asked for; who stops asking leaves the connection as it is. */
function toStream(
  incoming: IncomingMessage,
  onActivity?: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const chunks: AsyncIterator<Uint8Array<ArrayBuffer>> = incoming.iterator({
    destroyOnReturn: false,
  });
  return new ReadableStream({
    async pull(controller): Promise<void> {
      const { done, value } = await chunks.next();
      onActivity?.();
      if (done) controller.close();
      else controller.enqueue(new Uint8Array(value));
    },
  }, { highWaterMark: 0 });
}

/** Writes as fast as it is read, and no faster. */
async function send(response: Response, outgoing: ServerResponse, { gone, readerDeadline }: {
  readonly gone: AbortSignal;
  readonly readerDeadline: number;
}): Promise<void> {
  const reader = response.body?.getReader();
  const cancel = (): void => void reader?.cancel().catch(() => {});
  gone.addEventListener("abort", cancel, { once: true });
  if (gone.aborted) cancel();
  try {
    while (reader && !gone.aborted) {
      const { done, value } = await reader.read();
      if (done || gone.aborted) break;
      if (!outgoing.write(value)) await drained(outgoing, { gone, readerDeadline });
    }
  } finally {
    gone.removeEventListener("abort", cancel);
  }
}

/** Waits until what was written is on its way; a reader that stands still is left. */
async function drained(outgoing: ServerResponse, { gone, readerDeadline }: {
  readonly gone: AbortSignal;
  readonly readerDeadline: number;
}): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => outgoing.destroy(), readerDeadline);
    const done = (): void => {
      clearTimeout(timer);
      outgoing.off("drain", done);
      gone.removeEventListener("abort", done);
      resolve();
    };
    outgoing.on("drain", done);
    gone.addEventListener("abort", done, { once: true });
    if (gone.aborted) done();
  });
}
