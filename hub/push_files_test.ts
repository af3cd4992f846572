import assert from "node:assert/strict";
import { reasonOf } from "../tests/support/scripted_hub.ts";
import { startUploadHub } from "../tests/support/upload_stub.ts";
import type { HubProgress } from "./hub_options.ts";
import { pushFiles } from "./push_files.ts";

const README = new Blob(["# hi"]);
const FILES = [{ path: "README.md", content: README, bytes: README.size }];

for (
  const [status, at, way] of [
    [401, "/create", "HF_TOKEN is not valid"],
    [403, "/create", "HF_TOKEN may not write there"],
    [404, "/preupload/", "there is no such owner or branch"],
    [429, "/preupload/", "the hub asks to wait"],
    [500, "/commit/", "the hub has a fault"],
  ] as const
) {
  Deno.test(`pushFiles() explains an answer of ${status} and commits nothing`, async () => {
    await using hub = startUploadHub((path) =>
      path.includes(at) ? Response.json({ error: "no" }, { status }) : undefined
    );
    const { host } = new URL(hub.endpoint);
    const options = { token: "hf_x", title: "t", endpoint: hub.endpoint };
    await assert.rejects(pushFiles("me/x", FILES, options), (error: Error) => {
      assert.ok(
        error.message.startsWith(`Cannot push to me/x: ${host} answered ${status}: ${way}`),
        error.message,
      );
      return true;
    });
    assert.equal(hub.committed.size, 0);
  });
}

Deno.test("pushFiles() goes on where the repository is there already", async () => {
  await using hub = startUploadHub((path) =>
    path.endsWith("/create") ? Response.json({ error: "exists" }, { status: 409 }) : undefined
  );
  await pushFiles("me/x", FILES, { token: "hf_x", title: "t", endpoint: hub.endpoint });
  assert.deepEqual([...hub.committed.keys()], ["README.md"]);
});

Deno.test("pushFiles() tells of a hub that cannot be reached, and refuses what is no id", async () => {
  const options = { token: "hf_x", title: "t", endpoint: "http://127.0.0.1:9" };
  await assert.rejects(
    pushFiles("me/x", FILES, options),
    /^HubError: Cannot push to me\/x: 127\.0\.0\.1:9 could not be reached/,
  );
  await assert.rejects(
    pushFiles("me", FILES, options),
    /Cannot push to "me": it is not of the form/,
  );
  await assert.rejects(
    pushFiles("me/x", FILES, { ...options, endpoint: "hf-mirror.com" }),
    /^TypeError: Cannot use the endpoint "hf-mirror\.com": .* Correct HF_ENDPOINT/,
  );
});

/** The library leaves the store's answers unread. */
const UNREAD = { sanitizeResources: false };

Deno.test(
  "pushFiles() makes the repository, uploads all files and commits them to the branch",
  UNREAD,
  async () => {
    for (
      const [more, visibility, branch] of [
        [{}, "public", "main"],
        [{ private: false }, "public", "main"],
        [{ private: true, revision: "v2" }, "private", "v2"],
      ] as const
    ) {
      await using hub = startUploadHub();
      const weights = new Blob([new Uint8Array(300)]);
      const files = [...FILES, { path: "m.safetensors", content: weights, bytes: weights.size }];
      const options = {
        token: "hf_x",
        title: "A title",
        endpoint: `${hub.endpoint}/`,
        ...more,
      };
      assert.equal(await pushFiles("me/x", files, options), `${hub.endpoint}/me/x`);
      const sent = hub.requests.map(({ host, method, path, body }) => ({
        host,
        method,
        path,
        text: new TextDecoder().decode(body),
      }));
      assert.equal(JSON.parse(sent[0].text).visibility, visibility);
      const commits = sent.filter(({ path }) => path.includes("/commit/"));
      assert.deepEqual(commits.map(({ path }) => path), [`/api/models/me/x/commit/${branch}`]);
      assert.equal(JSON.parse(commits[0].text.split("\n")[0]).value.summary, "A title");
      assert.deepEqual([...hub.committed.keys()].sort(), ["README.md", "m.safetensors"]);
      assert.equal(hub.committed.get("m.safetensors")!.length, 300);
    }
  },
);

Deno.test("pushFiles() tells how far all files are, to the last byte", UNREAD, async () => {
  await using hub = startUploadHub();
  const file = (path: string, bytes: number) => ({
    path,
    content: new Blob([new Uint8Array(bytes).fill(bytes % 251)]),
    bytes,
  });
  const files = [file("a.safetensors", 400_000), file("b.safetensors", 200_000)];
  const seen: HubProgress[] = [];
  const options = { token: "hf_x", title: "t", endpoint: hub.endpoint };
  await pushFiles("me/x", files, { ...options, onProgress: (each) => void seen.push(each) });
  for (const { size, files, bytes, filesDone } of seen) {
    assert.deepEqual([size, files], [600_000, 2]);
    assert.ok(Number.isInteger(bytes) && bytes >= 0 && bytes <= 600_000);
    const whole = bytes === 600_000 ? [1, 2] : bytes >= 200_000 ? [0, 1] : [0];
    assert.ok(whole.includes(filesDone), `${bytes} ${filesDone}`);
  }
  assert.ok(seen.length > 1);
  assert.deepEqual(
    seen.map(({ bytes }) => bytes),
    seen.map(({ bytes }) => bytes).toSorted((a, b) => a - b),
  );
  assert.deepEqual(seen.at(-1), {
    file: "b.safetensors",
    bytes: 600_000,
    size: 600_000,
    filesDone: 2,
    files: 2,
  });
});

for (
  const [status, way, temporary] of [
    [400, "because", false],
    [
      401,
      "HF_TOKEN is not valid; make one that may write at https://huggingface.co/settings/tokens",
      false,
    ],
    [
      403,
      "HF_TOKEN may not write there; take a token with write access, or a repository of yours",
      false,
    ],
    [404, "there is no such owner or branch for this token", false],
    [413, "a file is too large for the hub", false],
    [429, "the hub asks to wait; push again later", true],
    [499, "because", false],
    [500, "the hub has a fault; push again later", true],
    [503, "the hub has a fault; push again later", true],
  ] as const
) {
  Deno.test(`pushFiles() says what to do about status ${status}`, async () => {
    const fetch = () => Promise.resolve(Response.json({ error: "because" }, { status }));
    const error = await reasonOf(pushFiles("me/x", FILES, { token: "hf_x", title: "t", fetch }));
    const { message, ...rest } = { ...error, message: error.message };
    assert.equal(
      message.replace(/because.*$/s, "because"),
      `Cannot push to me/x: huggingface.co answered ${status}: ${way}`,
    );
    assert.deepEqual(rest, {
      name: "HubError",
      host: "huggingface.co",
      status,
      file: undefined,
      temporary,
      retryAfter: undefined,
    });
  });
}

Deno.test("pushFiles() goes on only where it is told of a repository that is there", async () => {
  for (const status of [408, 410]) {
    const asked: string[] = [];
    const fetch: typeof globalThis.fetch = (input) => {
      asked.push(String(input));
      return Promise.resolve(Response.json({ error: "no" }, { status }));
    };
    const error = await reasonOf(pushFiles("me/x", FILES, { token: "hf_x", title: "t", fetch }));
    assert.match(error.message, new RegExp(`answered ${status}`));
    assert.equal(asked.length, 1);
  }
});

Deno.test("pushFiles() ends with the reason of an abort, before it uploads", async () => {
  const stop = new AbortController();
  const reason = new Error("enough");
  const asked: string[] = [];
  const fetch: typeof globalThis.fetch = (input) => {
    asked.push(String(input));
    stop.abort(reason);
    return Promise.resolve(Response.json({ url: "x" }));
  };
  const options = { token: "hf_x", title: "t", fetch, signal: stop.signal };
  assert.equal(await reasonOf(pushFiles("me/x", FILES, options)), reason);
  assert.equal(asked.length, 1);
});

Deno.test("pushFiles() tells of a connection that failed, with its cause", async () => {
  for (const [thrown, shown] of [[new Error("refused"), "refused"], ["text", "text"]] as const) {
    const fetch = () => Promise.reject(thrown);
    const error = await reasonOf(pushFiles("me/x", FILES, { token: "hf_x", title: "t", fetch }));
    assert.deepEqual({ ...error, message: error.message, cause: error.cause }, {
      name: "HubError",
      message:
        `Cannot push to me/x: huggingface.co could not be reached or stopped answering (${shown}); nothing ` +
        "was committed, push again",
      host: "huggingface.co",
      status: undefined,
      file: undefined,
      temporary: true,
      retryAfter: undefined,
      cause: thrown,
    });
  }
});
