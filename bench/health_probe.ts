/**
 * A worker that asks a server for /health on one new connection after another, apart from the clients
 * that keep the server and their own event loop busy. A reply that it reads meanwhile counts the steps:
 * each gives one event, whatever else the machine does. In: the port. Out: probes.
 */

/** One probe. */
export interface Probe {
  /** Milliseconds until the first byte of the answer. */
  readonly milliseconds: number;
  /** Tokens of another reply that came meanwhile; `undefined` where none was being made. */
  readonly steps: number | undefined;
}

const PAUSE = 100;
/** The counting reply must have come to this many tokens, and have as many before it. */
const MARGIN = 20;
const TOKENS = 400;
const worker = self as unknown as {
  onmessage: (event: MessageEvent<number>) => void;
  postMessage(probe: Probe | { readonly failed: string }): void;
};

/** Tokens of the counting reply so far. */
let tokens = 0;
/** Which reply that is. */
let replies = 0;

async function count(port: number): Promise<never> {
  const messages = [{ role: "user", content: "Count" }];
  const body = JSON.stringify({
    ...{ model: "base", messages, stream: true, temperature: 1, ignore_eos: true },
    max_tokens: TOKENS,
  });
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    tokens = 0;
    replies++;
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
      tokens += text.split("\n\n").length - 1;
    }
    tokens = 0;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

async function probe(port: number): Promise<Probe | { readonly failed: string }> {
  const request = new TextEncoder().encode(
    `GET /health HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`,
  );
  const began = performance.now();
  const before = { tokens, replies };
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(request);
    const buffer = new Uint8Array(1024);
    const length = await connection.read(buffer);
    const milliseconds = performance.now() - began;
    const counted = before.replies === replies && before.tokens >= MARGIN &&
      tokens >= before.tokens && before.tokens < TOKENS - MARGIN;
    const text = new TextDecoder().decode(buffer.subarray(0, length ?? 0));
    if (!text.startsWith("HTTP/1.1 200 ")) return { failed: text.split("\r\n")[0] };
    return { milliseconds, steps: counted ? tokens - before.tokens : undefined };
  } catch (cause) {
    return { failed: (cause as Error).message };
  }
}

worker.onmessage = async ({ data: port }) => {
  count(port).catch((cause) => worker.postMessage({ failed: (cause as Error).message }));
  for (;;) {
    worker.postMessage(await probe(port));
    // No multiple of a step.
    await new Promise((resolve) => setTimeout(resolve, PAUSE * (0.5 + Math.random())));
  }
};
