import assert from "node:assert/strict";
import { fakeHub } from "../tests/support/fake_hub.ts";
import { reasonOf } from "../tests/support/scripted_hub.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { resolveDatasetFile } from "./resolve_dataset_file.ts";

Deno.test("resolveDatasetFile() fetches the file that is named, and lists eight where it is not there", async () => {
  for (
    const [count, list] of [
      [0, "no files"],
      [1, "f0"],
      [8, "f0, f1, f2, f3, f4, f5, f6, f7"],
      [9, "f0, f1, f2, f3, f4, f5, f6, f7 and 1 more"],
      [12, "f0, f1, f2, f3, f4, f5, f6, f7 and 4 more"],
    ] as const
  ) {
    await using folder = await tempFolder();
    const files = Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, `${i}`]));
    const { fetch, fetched } = fakeHub(files);
    const options = { source: "huggingface", cacheDir: folder.path, fetch } as const;
    const error = await reasonOf(resolveDatasetFile("me/x", "a/b.csv", options));
    assert.deepEqual({ ...error, message: error.message }, {
      name: "HubError",
      message:
        `Cannot fetch a/b.csv of me/x from huggingface.co: the dataset has no such file. It has ${list}; ` +
        "name one of them",
      host: "huggingface.co",
      status: undefined,
      file: "a/b.csv",
      temporary: false,
      retryAfter: undefined,
    });
    if (count < 9) continue;
    assert.equal(await resolveDatasetFile("me/x", "f8", options), `${folder.path}/me/x/f8`);
    assert.deepEqual(fetched, ["f8"]);
    const offline = { ...options, offline: true };
    assert.equal(await resolveDatasetFile("me/x", "f8", offline), `${folder.path}/me/x/f8`);
    await assert.rejects(resolveDatasetFile("me/x", "f7", offline), /no complete copy is in/);
  }
});

Deno.test("resolveDatasetFile() checks the path before it asks", async () => {
  const { fetch } = fakeHub({});
  await assert.rejects(
    resolveDatasetFile("me/x", "../a", { source: "huggingface", cacheDir: "none", fetch }),
    /its path holds the part "\.\."/,
  );
});
