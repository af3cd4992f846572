import assert from "node:assert/strict";
import { reasonOf, scriptedHub } from "../tests/support/scripted_hub.ts";
import {
  createHubClient,
  endpointHost,
  type HubClient,
  parseEndpoint,
  requestHub,
  requestJson,
  withRetries,
} from "./hub_client.ts";
import { HubError } from "./hub_error.ts";
import type { HubSource } from "./hub_options.ts";

const ADDRESS = "https://hub.example/a.bin";
const PURPOSE = { what: "a.bin of me/x", id: "me/x", file: "a.bin" };
const ADVICE =
  "Check the network, set HF_ENDPOINT to a mirror, or use ModelScope (--source modelscope)";
const cacheDir = "unused";

/** All that an error tells. */
const told = (error: Error) => {
  assert.ok(error instanceof HubError, String(error));
  const { message, host, status, file, temporary, retryAfter } = error;
  return { message, host, status, file, temporary, retryAfter };
};

/** What a request is answered with in the end. */
const failure = (
  answer: Parameters<typeof scriptedHub>[0],
  more: Partial<HubClient> = {},
): Promise<Error> => reasonOf(requestHub(scriptedHub(answer, more).client, ADDRESS, PURPOSE));

/** A body that counts how often it is cancelled. */
function countedBody(chunks: readonly string[]) {
  const counted = { cancelled: 0 };
  const left = [...chunks];
  const body = new ReadableStream<Uint8Array>({
    pull(controller): void {
      if (left.length > 0) controller.enqueue(new TextEncoder().encode(left.shift()!));
      else controller.close();
    },
    cancel(): void {
      counted.cancelled++;
    },
  }, { highWaterMark: 0 });
  return { counted, body };
}

Deno.test("createHubClient() fills in what is left out", () => {
  const expected = {
    token: undefined,
    fetch: globalThis.fetch,
    signal: undefined,
    stallMilliseconds: 30_000,
    random: Math.random,
  };
  const { sleep, ...rest } = createHubClient({ source: "huggingface", cacheDir });
  assert.deepEqual(rest, {
    ...expected,
    source: "huggingface",
    endpoint: "https://huggingface.co",
  });
  assert.equal(typeof sleep, "function");
  const { sleep: _, ...other } = createHubClient({
    source: "modelscope",
    cacheDir,
    endpoint: "",
    token: " \n",
  });
  assert.deepEqual(other, {
    ...expected,
    source: "modelscope",
    endpoint: "https://www.modelscope.cn",
  });
});

Deno.test("createHubClient() takes what is given", () => {
  const given = {
    source: "huggingface",
    fetch: () => Promise.resolve(new Response()),
    signal: new AbortController().signal,
    stallMilliseconds: 7,
    sleep: () => Promise.resolve(),
    random: () => 0,
  } as const;
  const options = { ...given, cacheDir, endpoint: "http://mirror:8080/base//", token: " hf_x\n" };
  assert.deepEqual(createHubClient(options), {
    ...given,
    endpoint: "http://mirror:8080/base",
    token: "hf_x",
  });
});

Deno.test("createHubClient() refuses another source, and a token that cannot be one", () => {
  for (const source of ["github", "toString"]) {
    assert.throws(() => createHubClient({ source: source as HubSource, cacheDir }), {
      name: "TypeError",
      message: `Cannot fetch from "${source}": the source must be huggingface or modelscope`,
    });
  }
  for (const token of ["a b", "a;b", "ü", "a\x7f"]) {
    assert.throws(() => createHubClient({ source: "modelscope", cacheDir, token }), {
      name: "TypeError",
      message: "Cannot use the token for ModelScope: it holds characters that no token has. " +
        "Correct MODELSCOPE_API_TOKEN",
    });
  }
});

Deno.test("parseEndpoint() takes a plain address alone", () => {
  assert.equal(parseEndpoint("https://hf-mirror.com/", "huggingface"), "https://hf-mirror.com");
  assert.equal(parseEndpoint("http://127.0.0.1:8/a/", "huggingface"), "http://127.0.0.1:8/a");
  for (
    const text of [
      "hf-mirror.com",
      "ftp://h",
      "https://u@h",
      "https://:p@h",
      "https://h/?q",
      "https://h/#f",
      `x${"y".repeat(79)}zzz`,
    ]
  ) {
    assert.throws(() => parseEndpoint(text, "modelscope"), {
      name: "TypeError",
      message:
        `Cannot use the endpoint ${
          JSON.stringify(text.slice(0, 80))
        }: it is not a plain http or https ` +
        "address. Correct MODELSCOPE_ENDPOINT, such as https://www.modelscope.cn",
    });
  }
  assert.equal(endpointHost(scriptedHub(() => new Response()).client), "hub.example");
});

Deno.test("requestHub() sends the purpose's headers, and the token to the endpoint's own origin alone", async () => {
  const none = { "accept-encoding": "identity", range: "bytes=1-" };
  const cases = [
    ["huggingface", undefined, ADDRESS, none],
    ["huggingface", "t", ADDRESS, { ...none, authorization: "Bearer t" }],
    ["modelscope", "t", ADDRESS, {
      ...none,
      authorization: "Bearer t",
      cookie: "m_session_id=t",
    }],
    ["modelscope", undefined, ADDRESS, none],
    ["huggingface", "t", "http://hub.example/a", none],
    ["huggingface", "t", "https://hub.example:8/a", none],
    ["modelscope", "t", "https://other.example/a", none],
  ] as const;
  for (const [source, token, address, headers] of cases) {
    let mode: RequestRedirect | undefined;
    const { client, asked } = scriptedHub((_url, init) => {
      mode = init.redirect;
      return new Response("x");
    }, { source, token });
    const purpose = { ...PURPOSE, headers: { range: "bytes=1-" } };
    const response = await requestHub(client, address, purpose);
    await response.cancel();
    assert.deepEqual(asked, [{ url: address, headers }]);
    assert.equal(mode, "manual");
  }
});

Deno.test("requestHub() gives status, headers, host and pieces", async () => {
  const { counted, body } = countedBody(["ab", "c"]);
  const { client } = scriptedHub(() =>
    new Response(body, { status: 206, headers: { etag: '"x"' } })
  );
  const { status, headers, host, chunks } = await requestHub(client, ADDRESS, PURPOSE);
  assert.deepEqual([status, headers.get("etag"), host], [206, '"x"', "hub.example"]);
  const pieces = await Array.fromAsync(chunks(), (each) => new TextDecoder().decode(each));
  assert.deepEqual(pieces, ["ab", "c"]);
  assert.equal(counted.cancelled, 0);
});

Deno.test("requestHub() closes a connection that is left early, or whose status is bad", async () => {
  const one = countedBody(["ab", "c"]);
  const early = await requestHub(
    scriptedHub(() => new Response(one.body)).client,
    ADDRESS,
    PURPOSE,
  );
  for await (const _ of early.chunks()) break;
  assert.equal(one.counted.cancelled, 1);
  const two = countedBody(["ab"]);
  const unread = await requestHub(
    scriptedHub(() => new Response(two.body)).client,
    ADDRESS,
    PURPOSE,
  );
  await unread.cancel();
  assert.equal(two.counted.cancelled, 1);
  const three = countedBody(["ab"]);
  await failure(() => new Response(three.body, { status: 400 }));
  assert.equal(three.counted.cancelled, 1);
  const empty = await requestHub(
    scriptedHub(() => new Response(null)).client,
    ADDRESS,
    PURPOSE,
  );
  assert.deepEqual(await Array.fromAsync(empty.chunks()), []);
});

Deno.test("requestHub() follows redirects of every kind, five at most", async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const { counted, body } = countedBody(["away"]);
    const { client, asked } = scriptedHub((_url, _init, count) =>
      count === 0
        ? new Response(body, { status, headers: { location: "https://a:b@cdn.example/x?y" } })
        : new Response("x")
    );
    const response = await requestHub(client, ADDRESS, PURPOSE);
    await response.cancel();
    assert.deepEqual([response.host, counted.cancelled], ["cdn.example", 1]);
    assert.deepEqual(asked.map(({ url }) => url), [ADDRESS, "https://cdn.example/x?y"]);
  }
  assert.match((await failure(() => new Response(null, { status: 304 }))).message, /status 304/);
  const times = (most: number) =>
    scriptedHub((_url, _init, count) =>
      count < most
        ? new Response(null, { status: 302, headers: { location: `/${count}` } })
        : new Response(null)
    );
  const five = times(5);
  await (await requestHub(five.client, ADDRESS, PURPOSE)).cancel();
  assert.equal(five.asked.at(-1)!.url, "https://hub.example/4");
  const six = times(6);
  assert.deepEqual(told(await reasonOf(requestHub(six.client, ADDRESS, PURPOSE))), {
    message: "Cannot fetch a.bin of me/x from hub.example: it redirects more than 5 times. Check " +
      "HF_ENDPOINT, or use ModelScope (--source modelscope)",
    host: "hub.example",
    status: undefined,
    file: "a.bin",
    temporary: false,
    retryAfter: undefined,
  });
  assert.equal(six.asked.length, 6);
});

Deno.test("requestHub() follows no redirect to another protocol or to nowhere", async () => {
  const to = (location?: string) => () =>
    new Response(null, { status: 302, headers: location === undefined ? {} : { location } });
  const way = "Check MODELSCOPE_ENDPOINT, or use Hugging Face (--source huggingface)";
  for (
    const [location, problem] of [
      [undefined, "it redirects to no usable address"],
      ["http://", "it redirects to no usable address"],
      ["file:///etc/passwd", "it redirects to no usable address"],
      ["http://cdn.example/x", "it redirects from https to http at cdn.example"],
    ] as const
  ) {
    const error = told(await failure(to(location), { source: "modelscope" }));
    assert.deepEqual(error, {
      message: `Cannot fetch a.bin of me/x from hub.example: ${problem}. ${way}`,
      host: "hub.example",
      status: undefined,
      file: "a.bin",
      temporary: false,
      retryAfter: undefined,
    });
  }
  // From http both may follow.
  for (const location of ["http://cdn.example/x", "https://cdn.example/x"]) {
    const { client } = scriptedHub((_url, _init, count) =>
      count === 0 ? to(location)() : new Response(null)
    );
    const { host, cancel } = await requestHub(client, "http://hub.example/a", PURPOSE);
    await cancel();
    assert.equal(host, "cdn.example");
  }
});

const ACCESS =
  "me/x is gated or private, or does not exist. Ask for access on its page at Hugging Face where it is gated.";
for (
  const [name, status, more, message, temporary] of [
    ["401 without a token", 401, {}, `${ACCESS} No token was sent: set HF_TOKEN to one of yours`],
    ["403 without a token", 403, {}, `${ACCESS} No token was sent: set HF_TOKEN to one of yours`],
    [
      "403 with a token",
      403,
      { token: "t" },
      `${ACCESS} The token in HF_TOKEN was not enough: check that it is valid and may read`,
    ],
    [
      "404",
      404,
      {},
      "not found. Check the name and the revision, or try ModelScope (--source modelscope)",
    ],
    ["400", 400, {}, `. ${ADVICE}`],
    ["402", 402, {}, `. ${ADVICE}`],
    ["405", 405, {}, `. ${ADVICE}`],
    ["410", 410, {}, `. ${ADVICE}`],
    ["501", 501, {}, `. ${ADVICE}`],
    ["505", 505, {}, `. ${ADVICE}`],
    ...[408, 425, 500, 502, 503, 504].map((status) =>
      [
        `${status}`,
        status,
        {},
        "the service has trouble. Try again later, or use ModelScope (--source modelscope)",
        true,
      ] as const
    ),
    [
      "429",
      429,
      {},
      "too many requests. Try again later, or use ModelScope (--source modelscope)",
      true,
    ],
  ] as const
) {
  Deno.test(`requestHub() says what to do about status ${name}`, async () => {
    const error = told(await failure(() => new Response(null, { status }), more));
    assert.deepEqual(error, {
      message: `Cannot fetch a.bin of me/x from hub.example: status ${status}${
        message.startsWith(".") ? "" : ", "
      }${message}`,
      host: "hub.example",
      status,
      file: "a.bin",
      temporary: temporary ?? false,
      retryAfter: undefined,
    });
  });
}

Deno.test("requestHub() reads how long a host asks to wait, in seconds or as a date", async () => {
  const later = "Try again later, or use ModelScope (--source modelscope)";
  const asks = (seconds: number) =>
    `It asks to wait ${seconds} s: try again then, or use ModelScope (--source modelscope)`;
  for (
    const [header, retryAfter, advice, temporary] of [
      ["7", 7000, later, true],
      [" 0 ", 0, later, true],
      ["120", 120_000, later, true],
      ["121", 121_000, asks(121), false],
      ["999999999", 999_999_999_000, asks(999_999_999), false],
      ["soon", undefined, later, true],
      ["Wed, 21 Oct 2015 07:28:00 GMT", 0, later, true],
    ] as const
  ) {
    const error = told(
      await failure(() => new Response(null, { status: 503, headers: { "retry-after": header } })),
    );
    assert.deepEqual(error, {
      message:
        `Cannot fetch a.bin of me/x from hub.example: status 503, the service has trouble. ${advice}`,
      host: "hub.example",
      status: 503,
      file: "a.bin",
      temporary,
      retryAfter,
    });
  }
  const date = new Date(Date.now() + 60_000).toUTCString();
  const { retryAfter } = told(
    await failure(() => new Response(null, { status: 503, headers: { "retry-after": date } })),
  );
  assert.ok(retryAfter! > 50_000 && retryAfter! <= 60_000, `${retryAfter}`);
});

Deno.test("requestHub() gives up a host that falls silent before or amid its answer", async () => {
  const silent = told(
    await failure(
      (_url, init) =>
        new Promise((_resolve, reject) =>
          init.signal!.addEventListener("abort", () => reject(init.signal!.reason))
        ),
      { stallMilliseconds: 20 },
    ),
  );
  const expected = {
    message: `Cannot fetch a.bin of me/x from hub.example: nothing came for 0.02 s. ${ADVICE}`,
    host: "hub.example",
    status: undefined,
    file: "a.bin",
    temporary: true,
    retryAfter: undefined,
  };
  assert.deepEqual(silent, expected);
  const { client } = scriptedHub((_url, init) => {
    let sent = false;
    return new Response(
      new ReadableStream({
        pull(controller): Promise<void> | void {
          if (!sent) controller.enqueue(new Uint8Array(3));
          else {
            init.signal!.addEventListener("abort", () => controller.error(init.signal!.reason));
            return new Promise(() => {});
          }
          sent = true;
        },
      }),
    );
  }, { stallMilliseconds: 20 });
  const { chunks } = await requestHub(client, ADDRESS, PURPOSE);
  let bytes = 0;
  const error = await reasonOf((async () => {
    for await (const chunk of chunks()) bytes += chunk.length;
  })());
  assert.deepEqual([told(error), bytes], [expected, 3]);
});

Deno.test("requestHub() does not give up a host that is slow and not silent", async () => {
  const { setTimeout, clearTimeout } = globalThis;
  const timers = new Map<number, { at: number; run: () => void }>();
  let [now, made] = [0, 0];
  const pass = (milliseconds: number): void => {
    now += milliseconds;
    for (const { at, run } of timers.values()) if (at <= now) run();
  };
  Object.assign(globalThis, {
    setTimeout: (run: () => void, wait: number) => {
      timers.set(++made, { at: now + wait, run });
      return made;
    },
    clearTimeout: (id: number) => void timers.delete(id),
  });
  try {
    // Each wait is shorter than the limit, any two are longer.
    let sent = 0;
    const { client } = scriptedHub((_url, init) => {
      pass(200);
      return new Response(
        new ReadableStream({
          start(controller): void {
            init.signal!.addEventListener("abort", () => controller.error(init.signal!.reason));
          },
          pull(controller): void {
            pass(200);
            if (sent++ === 3) controller.close();
            else controller.enqueue(new Uint8Array(1));
          },
        }, { highWaterMark: 0 }),
      );
    }, { stallMilliseconds: 300 });
    const { chunks } = await requestHub(client, ADDRESS, PURPOSE);
    assert.equal((await Array.fromAsync(chunks())).length, 3);
    assert.equal(timers.size, 0);
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
});

Deno.test("requestHub() says why a connection failed, by the innermost cause", async () => {
  const inner = new Error("outer", { cause: new Error("middle", { cause: new Error("refused") }) });
  for (
    const [thrown, problem] of [
      [inner, "refused"],
      [new Error("plain"), "plain"],
      [new Error("of a text", { cause: "text" }), "of a text"],
      ["no error", "no error"],
    ] as const
  ) {
    const error = await failure(() => {
      throw thrown;
    });
    assert.deepEqual(told(error), {
      message:
        `Cannot fetch a.bin of me/x from hub.example: the connection failed (${problem}). ${ADVICE}`,
      host: "hub.example",
      status: undefined,
      file: "a.bin",
      temporary: true,
      retryAfter: undefined,
    });
    assert.equal(error.cause, thrown);
  }
  const denied = await failure(() => {
    throw new Deno.errors.NotCapable("net");
  });
  assert.deepEqual(told(denied), {
    message:
      "Cannot fetch a.bin of me/x from hub.example: the script may not connect to it. Run it with " +
      "--allow-net=hub.example, or use ModelScope (--source modelscope)",
    host: "hub.example",
    status: undefined,
    file: "a.bin",
    temporary: false,
    retryAfter: undefined,
  });
  assert.equal(denied.cause, undefined);
});

/** A signal that counts who listens. */
function countedSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  const counted = { controller, signal, listeners: 0 };
  const { addEventListener, removeEventListener } = signal;
  Object.assign(signal, {
    addEventListener(...args: Parameters<typeof addEventListener>): void {
      counted.listeners++;
      addEventListener.apply(signal, args);
    },
    removeEventListener(...args: Parameters<typeof removeEventListener>): void {
      counted.listeners--;
      removeEventListener.apply(signal, args);
    },
  });
  return counted;
}

Deno.test("requestHub() stops with the reason of an abort, and listens to it no longer than it asks", async () => {
  const reason = new Error("enough");
  const before = scriptedHub(() => new Response(), { signal: AbortSignal.abort(reason) });
  assert.equal(await reasonOf(requestHub(before.client, ADDRESS, PURPOSE)), reason);
  assert.equal(before.asked.length, 0);
  const stop = new AbortController();
  const amid = failure((_url, init) =>
    new Promise((_resolve, reject) => {
      init.signal!.addEventListener("abort", () => reject(init.signal!.reason));
      stop.abort(reason);
    }), { signal: stop.signal });
  assert.equal(await amid, reason);

  const counted = countedSignal();
  const { signal } = counted;
  const good = await requestHub(
    scriptedHub(() => new Response("x"), { signal }).client,
    ADDRESS,
    PURPOSE,
  );
  assert.equal(counted.listeners, 1);
  await Array.fromAsync(good.chunks());
  assert.equal(counted.listeners, 0);
  await failure(() => {
    throw new Error("no");
  }, { signal });
  await failure(() => new Response(null, { status: 302 }), { signal });
  await failure(() => new Response(null, { status: 400 }), { signal });
  assert.equal(counted.listeners, 0);
});

/** An attempt that fails some times first. */
function attempts(failures: number, error: (count: number) => Error) {
  let count = 0;
  return () => count++ < failures ? Promise.reject(error(count)) : Promise.resolve(count);
}

Deno.test("withRetries() tries five times in all, with waits that grow", async () => {
  const temporary = (retryAfter?: number) => () =>
    new HubError("no", {
      host: "h",
      status: 503,
      file: "f",
      retryAfter,
      temporary: true,
      cause: "why",
    });
  for (
    const [random, expected] of [
      [0, [250, 500, 1000, 2000]],
      [0.5, [375, 750, 1500, 3000]],
      [1, [500, 1000, 2000, 4000]],
    ] as const
  ) {
    const { client, waits } = scriptedHub(() => new Response(), { random: () => random });
    assert.equal(await withRetries(client, attempts(4, temporary())), 5);
    assert.deepEqual(waits, expected);
  }
  const { client, waits } = scriptedHub(() => new Response());
  const last = await reasonOf(withRetries(client, attempts(5, temporary(1000))));
  assert.deepEqual(told(last), {
    message: "no (tried 5 times)",
    host: "h",
    status: 503,
    file: "f",
    temporary: true,
    retryAfter: 1000,
  });
  assert.equal(last.cause, "why");
  // As long as the host asks, where that is longer.
  assert.deepEqual(waits, [1000, 1000, 1500, 3000]);
});

Deno.test("withRetries() passes on at once what will not pass, and the signal to what waits", async () => {
  for (const error of [new HubError("no"), new Error("other")]) {
    const { client, waits } = scriptedHub(() => new Response());
    assert.equal(await reasonOf(withRetries(client, attempts(1, () => error))), error);
    assert.deepEqual(waits, []);
  }
  const stop = new AbortController();
  const { client } = scriptedHub(() => new Response(), {
    signal: stop.signal,
    sleep: (_, signal) => Promise.reject(signal),
  });
  const failing = attempts(1, () => new HubError("no", { temporary: true }));
  assert.equal(await reasonOf(withRetries(client, failing)), stop.signal);
});

Deno.test("createHubClient() waits by a timer, which an abort ends", async () => {
  const { sleep } = createHubClient({ source: "huggingface", cacheDir });
  const began = performance.now();
  const counted = countedSignal();
  await sleep(30, counted.signal);
  assert.ok(performance.now() - began >= 25);
  assert.equal(counted.listeners, 0);
  await sleep(0);
  const reason = new Error("enough");
  const waiting = reasonOf(sleep(60_000, counted.signal));
  counted.controller.abort(reason);
  assert.equal(await waiting, reason);
  assert.equal(await reasonOf(sleep(60_000, counted.signal)), reason);
});

Deno.test("requestJson() gives the value and the headers, of an answer that is not too long", async () => {
  const text = '{"a":"ü"}';
  const { length } = new TextEncoder().encode(text);
  const ask = (maxBytes: number, answer = text) => {
    const { counted, body } = countedBody([answer.slice(0, 4), answer.slice(4)]);
    const hub = scriptedHub(() => new Response(body, { headers: { link: "<x>" } }));
    return { ...hub, counted, result: requestJson(hub.client, ADDRESS, { ...PURPOSE, maxBytes }) };
  };
  const { value, headers } = await ask(length).result;
  assert.deepEqual([value, headers.get("link")], [{ a: "ü" }, "<x>"]);
  const over = ask(length - 1);
  assert.deepEqual(told(await reasonOf(over.result)), {
    message:
      `Cannot fetch a.bin of me/x from hub.example: the answer is larger than ${
        length - 1
      } bytes, ` +
      "more than any listing of a model needs. Check the endpoint",
    host: "hub.example",
    status: undefined,
    file: undefined,
    temporary: false,
    retryAfter: undefined,
  });
  assert.deepEqual([over.asked.length, over.counted.cancelled], [1, 1]);
  const broken = scriptedHub(() => new Response("{"));
  const error = await reasonOf(
    requestJson(broken.client, ADDRESS, { ...PURPOSE, maxBytes: 9 }),
  );
  assert.deepEqual(told(error), {
    message:
      `Cannot fetch a.bin of me/x from hub.example: the answer is not JSON. ${ADVICE} (tried 5 times)`,
    host: "hub.example",
    status: undefined,
    file: undefined,
    temporary: true,
    retryAfter: undefined,
  });
  assert.ok(error.cause instanceof SyntaxError);
  assert.equal(broken.asked.length, 5);
});
