/**
 * Server-sent events, made only as they are read.
 *
 * In: an async generator of JSON values. Out: a response whose reader pulls one event at a time, so
 * that a reader that stalls makes nothing pile up.
 */

/** What {@linkcode eventStream} is made with. */
export interface EventStreamOptions {
  /** Called when the reader is gone; it must make the events end. */
  readonly onCancel: () => void;
  /** The event in place of a failure midway. */
  readonly onError: (cause: unknown) => unknown;
  /** Milliseconds of silence after which a comment shows that the server is alive. @default {15000} */
  readonly heartbeat?: number;
}

const encoder = new TextEncoder();

/** A stream of events, closed by `[DONE]` as the OpenAI API does. */
export function eventStream(
  events: AsyncIterator<unknown, void>,
  { onCancel, onError, heartbeat = 15_000 }: EventStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let cancelled = false;
  let next: Promise<IteratorResult<unknown, void>> | undefined;
  const end = (controller: ReadableStreamDefaultController, last: string): void => {
    controller.enqueue(encoder.encode(`${last}data: [DONE]\n\n`));
    controller.close();
  };
  return new ReadableStream({
    async pull(controller): Promise<void> {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<"silence">((resolve) => {
        timer = setTimeout(() => resolve("silence"), heartbeat);
      });
      try {
        const result = await Promise.race([next ??= events.next(), silence]);
        if (cancelled) return;
        if (result === "silence") {
          controller.enqueue(encoder.encode(": working\n\n"));
          return;
        }
        next = undefined;
        if (result.done) end(controller, "");
        else controller.enqueue(encoder.encode(data(result.value)));
      } catch (cause) {
        if (!cancelled) end(controller, data(onError(cause)));
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

function data(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
