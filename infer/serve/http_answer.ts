/**
 * Answers as HTTP has them.
 *
 * In: a value, a text or a stream. Out: a response with the headers that all answers bear.
 */

const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** A value as JSON. */
export function json(value: unknown, status = 200): Response {
  return whole(JSON.stringify(value), "application/json", status);
}

/** A text of a type. */
export function text(body: string, type: string): Response {
  return whole(body, `${type}; charset=utf-8`);
}

/** A stream of text of a type. */
export function stream(body: ReadableStream<Uint8Array<ArrayBuffer>>, type: string): Response {
  return new Response(body, {
    headers: {
      ...HEADERS,
      "content-type": type,
      // Proxies such as nginx would hold events back.
      "x-accel-buffering": "no",
    },
  });
}

/** No body, as preflights are answered. */
export function empty(headers: Readonly<Record<string, string>>): Response {
  return new Response(null, { status: 204, headers: { ...HEADERS, ...headers } });
}

/** A body of known length: it has arrived even where the connection goes on. */
function whole(body: string, type: string, status = 200): Response {
  const bytes = new TextEncoder().encode(body);
  const headers = { ...HEADERS, "content-type": type, "content-length": `${bytes.length}` };
  return new Response(bytes, { status, headers });
}
