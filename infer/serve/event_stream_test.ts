import assert from "node:assert/strict";
import { ApiError } from "./api_error.ts";
import {
  DATA_EVENTS,
  eventStream,
  type EventStreamOptions,
  type StreamFormat,
} from "./event_stream.ts";

const LINES: StreamFormat = {
  type: "text/plain",
  event: (value) => `${value}\n`,
  failure: ({ message }) => `failed: ${message}`,
};

/** Events that a test gives one by one. */
function given(): {
  readonly events: AsyncIterator<unknown, void>;
  readonly calls: string[];
  give(value: unknown): void;
} {
  const calls: string[] = [];
  let take: ((value: unknown) => void) | undefined;
  return {
    calls,
    give: (value) => take!(value),
    events: {
      next: async () => {
        calls.push("next");
        const value = await new Promise<unknown>((resolve) => take = resolve);
        if (value instanceof Error) throw value;
        return value === undefined ? { done: true, value } : { done: false, value };
      },
      return: () => {
        calls.push("return");
        return Promise.resolve({ done: true, value: undefined });
      },
    },
  };
}

/** A stream's pieces as texts. */
async function pieces(
  values: readonly unknown[],
  options: Partial<EventStreamOptions> = {},
): Promise<readonly string[]> {
  async function* events(): AsyncGenerator<unknown, void> {
    for (const value of values) {
      if (value instanceof Error) throw value;
      yield value;
    }
  }
  const stream = eventStream(events(), {
    onCancel: () => assert.fail("cancelled"),
    onError: (cause) => new ApiError(500, String(cause)),
    ...options,
  });
  const decoder = new TextDecoder();
  return (await Array.fromAsync(stream)).map((each) => decoder.decode(each));
}

Deno.test("eventStream() writes server-sent events and [DONE], or as another protocol does", async () => {
  assert.deepEqual(await pieces([{ a: "é" }, 2]), [
    'data: {"a":"é"}\n\n',
    "data: 2\n\n",
    "data: [DONE]\n\n",
  ]);
  assert.deepEqual(await pieces([]), ["data: [DONE]\n\n"]);
  assert.deepEqual(await pieces(["a", "b"], { format: LINES }), ["a\n", "b\n"]);
  assert.deepEqual(await pieces([], { format: LINES }), []);
  assert.equal(DATA_EVENTS.type, "text/event-stream; charset=utf-8");
});

Deno.test("eventStream() ends with the error in place of an event that fails", async () => {
  const failed = await pieces(["a", new Error("no")]);
  const error = { message: "Error: no", type: "server_error", param: null, code: null };
  assert.deepEqual(failed, [
    'data: "a"\n\n',
    `data: ${JSON.stringify({ error })}\n\ndata: [DONE]\n\n`,
  ]);
  assert.deepEqual(await pieces([new Error("no")], { format: LINES }), ["failed: Error: no\n"]);
});

Deno.test("eventStream() asks for an event only as it is read, and breaks a silence", async () => {
  const { events, calls, give } = given();
  const reader = eventStream(events, {
    onCancel: () => {},
    onError: () => assert.fail(),
    heartbeat: 5,
  }).getReader();
  const read = async (): Promise<string> => new TextDecoder().decode((await reader.read()).value);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(calls, []);
  // Three silences while one event is waited for.
  for (let i = 0; i < 3; i++) assert.equal(await read(), ": working\n\n");
  assert.deepEqual(calls, ["next"]);
  const heard = async (): Promise<string> => {
    const text = await read();
    return text === ": working\n\n" ? heard() : text;
  };
  const next = heard();
  give("a");
  assert.equal(await next, 'data: "a"\n\n');
  const last = heard();
  while (calls.length < 2) await new Promise((resolve) => setTimeout(resolve, 0));
  give(undefined);
  assert.equal(await last, "data: [DONE]\n\n");
  assert.deepEqual(await reader.read(), { done: true, value: undefined });
  assert.deepEqual(calls, ["next", "next"]);
});

Deno.test("eventStream() is silent where a protocol has nothing to say meanwhile", async () => {
  const { events, give } = given();
  const reader = eventStream(events, {
    onCancel: () => {},
    onError: () => assert.fail(),
    format: LINES,
    heartbeat: 1,
  }).getReader();
  let answered = false;
  const read = reader.read().then(({ value }) => {
    answered = true;
    return new TextDecoder().decode(value);
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(answered, false);
  give("a");
  assert.equal(await read, "a\n");
  await reader.cancel();
});

Deno.test("eventStream() ends the events where its reader leaves, and tells no more", async () => {
  for (const last of ["a", new Error("late")]) {
    const { events, calls, give } = given();
    let cancelled = 0;
    const reader = eventStream(events, {
      onCancel: () => cancelled++,
      onError: () => assert.fail("told"),
    }).getReader();
    const read = reader.read();
    await new Promise((resolve) => setTimeout(resolve, 0));
    await reader.cancel();
    give(last);
    assert.deepEqual(await read, { done: true, value: undefined });
    assert.deepEqual([cancelled, calls], [1, ["next", "return"]]);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
});
