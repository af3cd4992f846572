import assert from "node:assert/strict";
import { startUploadHub } from "../tests/support/upload_stub.ts";
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
