/**
 * A request's body within limits.
 *
 * In: a request. Out: its JSON. What is too large, too slow, not UTF-8 or not JSON is refused, and
 * no more of it is read than told it so.
 */

import { ApiError } from "./api_error.ts";

/** Limits of {@linkcode readJsonBody}. */
export interface BodyLimits {
  /** Most bytes of a body. @default {1 MiB} */
  readonly maxBytes?: number;
  /** Milliseconds for the whole body. @default {10000} */
  readonly deadline?: number;
  /**
   * Whether a body of any type will do from who is no browser, as Ollama takes it from curl.
   * @default {false}
   */
  readonly anyType?: boolean;
}

/** Reads and parses a body. */
export async function readJsonBody(
  request: Request,
  { maxBytes = 1024 * 1024, deadline = 10_000, anyType = false }: BodyLimits = {},
): Promise<unknown> {
  const { headers } = request;
  const type = headers.get("content-type") ?? "";
  const browser = ["origin", "referer", "sec-fetch-site"].some((name) => headers.has(name));
  // A form that another site sends cannot have this type without asking first.
  if (!/^application\/json\s*(;|$)/i.test(type) && (browser || !anyType)) {
    throw new ApiError(
      415,
      "The body must be of content-type application/json: send it as a header (curl: -H " +
        "'content-type: application/json')",
    );
  }
  const tooLarge = () =>
    new ApiError(413, `The body must have at most ${maxBytes} bytes`, { code: "body_too_large" });
  if (Number(headers.get("content-length")) > maxBytes) throw tooLarge();
  const bytes = new Uint8Array(await collect(request, { maxBytes, deadline, tooLarge }));
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ApiError(400, "The body must be JSON in UTF-8", { code: "invalid_json", cause });
  }
}

async function collect(request: Request, { maxBytes, deadline, tooLarge }: {
  readonly maxBytes: number;
  readonly deadline: number;
  readonly tooLarge: () => ApiError;
}): Promise<ArrayBuffer> {
  const reader = request.body?.getReader();
  if (!reader) return new ArrayBuffer(0);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ApiError(408, `The body must arrive within ${deadline / 1000} seconds`)),
      deadline,
    );
  });
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for (;;) {
      const { value, done } = await Promise.race([reader.read(), late]);
      if (done) return await new Blob(chunks).arrayBuffer();
      length += value.byteLength;
      if (length > maxBytes) throw tooLarge();
      chunks.push(value);
    }
  } catch (cause) {
    // Not awaited: a source that is stuck would hold the answer up.
    reader.cancel().catch(() => {});
    if (cause instanceof ApiError) throw cause;
    throw new ApiError(400, "The body ended before it was whole", { cause });
  } finally {
    clearTimeout(timer);
  }
}
