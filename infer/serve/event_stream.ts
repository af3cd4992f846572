/**
 * Streams of events, made only as they are read.
 *
 * In: an async generator of JSON values. Out: a response whose reader pulls one event at a time, so
 * that a reader that stalls makes nothing pile up.
 */

import type { ApiError } from "./api_error.ts";

/** How a protocol writes a stream. */
export interface StreamFormat {
  /** The content-type. */
  readonly type: string;
  /** One event. */
  readonly event: (value: unknown) => string;
  /** The event in place of a failure midway. */
  readonly failure: (error: ApiError) => unknown;
  /** What comes after the last event. @default {""} */
  readonly end?: string;
  /** What shows that the server is alive, where readers pass over it. @default {nothing is sent} */
  readonly silence?: string;
}

/** Server-sent events, closed by `[DONE]` as the OpenAI API does. */
export const DATA_EVENTS: StreamFormat = {
  type: "text/event-stream; charset=utf-8",
  event: (value) => `data: ${JSON.stringify(value)}\n\n`,
  failure: (error) => error,
  end: "data: [DONE]\n\n",
  silence: ": working\n\n",
};

/** What {@linkcode eventStream} is made with. */
export interface EventStreamOptions {
  /** Called when the reader is gone; it must make the events end. */
  readonly onCancel: () => void;
  /** The error to tell of a failure midway. */
  readonly onError: (cause: unknown) => ApiError;
  /** How they are written. @default {DATA_EVENTS} */
  readonly format?: StreamFormat;
  /** Milliseconds of silence after which one is broken. @default {15000} */
  readonly heartbeat?: number;
}

const encoder = new TextEncoder();

/** A stream of events. */
export function eventStream(
  events: AsyncIterator<unknown, void>,
  { onCancel, onError, format = DATA_EVENTS, heartbeat = 15_000 }: EventStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let cancelled = false;
  let next: Promise<IteratorResult<unknown, void>> | undefined;
  const end = (controller: ReadableStreamDefaultController, last: string): void => {
    const bytes = encoder.encode(last + (format.end ?? ""));
    if (bytes.length > 0) controller.enqueue(bytes);
    controller.close();
  };
  return new ReadableStream({
    async pull(controller): Promise<void> {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<"silence">((resolve) => {
        if (format.silence !== undefined) timer = setTimeout(() => resolve("silence"), heartbeat);
      });
      try {
        const result = await Promise.race([next ??= events.next(), silence]);
        if (cancelled) return;
        if (result === "silence") {
          controller.enqueue(encoder.encode(format.silence));
          return;
        }
        next = undefined;
        if (result.done) end(controller, "");
        else controller.enqueue(encoder.encode(format.event(result.value)));
      } catch (cause) {
        if (!cancelled) end(controller, format.event(format.failure(onError(cause))));
      } finally {
        clearTimeout(timer);
      }
    },
    async cancel(): Promise<void> {
      cancelled = true;
      onCancel();
      await events.return?.();
    },
  }, { highWaterMark: 0 });
}
