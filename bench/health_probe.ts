/**
 * A worker that asks a server for /health on one new connection after another, apart from the clients
 * that keep the server and their own event loop busy. In: the port. Out: for each probe when it began
 * and the milliseconds until the first byte.
 */

/** One probe. */
export interface Probe {
  /** `Date.now()` when it began. */
  readonly at: number;
  /** Milliseconds until the first byte of the answer. */
  readonly milliseconds: number;
}

const PAUSE = 100;
const worker = self as unknown as {
  onmessage: (event: MessageEvent<number>) => void;
  postMessage(probe: Probe | { readonly failed: string }): void;
};

worker.onmessage = async ({ data: port }) => {
  const request = new TextEncoder().encode(
    `GET /health HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`,
  );
  for (;;) {
    const at = Date.now();
    const began = performance.now();
    try {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(request);
      const buffer = new Uint8Array(1024);
      const length = await connection.read(buffer);
      const milliseconds = performance.now() - began;
      const text = new TextDecoder().decode(buffer.subarray(0, length ?? 0));
      worker.postMessage(
        text.startsWith("HTTP/1.1 200 ") ? { at, milliseconds } : { failed: text.split("\r\n")[0] },
      );
    } catch (cause) {
      worker.postMessage({ failed: (cause as Error).message });
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
};
