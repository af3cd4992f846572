import assert from "node:assert/strict";
import { reasonOf, scriptedHub } from "../tests/support/scripted_hub.ts";
import type { HubSource, RepositoryKind } from "./hub_options.ts";
import { listFiles } from "./list_files.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const OID = "a".repeat(40);
const SHA256 = "b".repeat(64);

/** Lists a repository whose service gives these answers. */
function list(
  source: HubSource,
  kind: RepositoryKind,
  answer: (url: string, count: number) => Response,
  revision = "main",
) {
  const hub = scriptedHub((url, _init, count) => answer(url, count), { source });
  return { ...hub, listing: listFiles(hub.client, { kind, id: "me/x", revision }) };
}

/** What Hugging Face answers: a commit, then pages of entries. */
const huggingFace = (...pages: readonly unknown[]) => (url: string, count: number): Response => {
  if (url.includes("/revision/")) return Response.json({ sha: COMMIT });
  const link = count < pages.length
    ? { link: `</api/next/${count}>; rel="next"` }
    : { link: '</api/first>; rel="first"' };
  return Response.json(pages[count - 1], { headers: link });
};
const modelScope = (...pages: readonly unknown[][]) => (_url: string, count: number): Response =>
  Response.json({ Data: { Files: pages[count] } });

const problem = (text: string) =>
  `Cannot use the file list of me/x from hub.example: ${text}. Check the id and the endpoint`;

for (
  const [kind, api, base] of [
    ["model", "models/me/x", "me/x"],
    ["dataset", "datasets/me/x", "datasets/me/x"],
  ] as const
) {
  Deno.test(`listFiles() lists all pages of a ${kind} of Hugging Face at its commit`, async () => {
    const { asked, listing } = list(
      "huggingface",
      kind,
      huggingFace([
        { type: "directory", path: "sub", size: 0, oid: OID },
        { type: "file", path: "config.json", size: 7, oid: OID },
        { type: "file", path: "sub/a b#ü", size: 0, oid: OID.toUpperCase(), lfs: null },
      ], [
        { type: "file", path: "m", size: 1, oid: OID, lfs: { oid: SHA256, size: 2 ** 40 } },
        { type: "file", path: "n", size: 1, oid: OID, lfs: { oid: OID } },
        { type: "file", path: "o", size: 3, oid: "g".repeat(40) },
        { type: "file", path: "p", size: 3 },
        "no entry",
      ], []),
      "refs/pr/1",
    );
    const url = (path: string) => `https://hub.example/${base}/resolve/${COMMIT}/${path}`;
    const none = { sha256: undefined, gitOid: undefined };
    assert.deepEqual(await listing, {
      commit: COMMIT,
      files: [
        { path: "config.json", size: 7, ...none, gitOid: OID, url: url("config.json") },
        { path: "sub/a b#ü", size: 0, ...none, gitOid: OID, url: url("sub/a%20b%23%C3%BC") },
        { path: "m", size: 2 ** 40, ...none, sha256: SHA256, url: url("m") },
        { path: "n", size: 1, ...none, url: url("n") },
        { path: "o", size: 3, ...none, url: url("o") },
        { path: "p", size: 3, ...none, url: url("p") },
      ],
    });
    assert.deepEqual(asked.map(({ url }) => url), [
      `https://hub.example/api/${api}/revision/refs%2Fpr%2F1`,
      `https://hub.example/api/${api}/tree/${COMMIT}?recursive=true`,
      "https://hub.example/api/next/1",
      "https://hub.example/api/next/2",
    ]);
  });
}

Deno.test("listFiles() lists a model of ModelScope at once", async () => {
  const { asked, listing } = list(
    "modelscope",
    "model",
    modelScope([
      { Type: "tree", Path: "sub", Size: 0 },
      { Type: "blob", Path: "a/b c", Size: 3, Sha256: SHA256.toUpperCase() },
      { Path: "d", Size: 4, Sha256: "" },
    ]),
    "v/1",
  );
  const url = (path: string) =>
    `https://hub.example/api/v1/models/me/x/repo?Revision=v%2F1&FilePath=${path}`;
  assert.deepEqual(await listing, {
    commit: undefined,
    files: [
      { path: "a/b c", size: 3, sha256: SHA256, gitOid: undefined, url: url("a/b%20c") },
      { path: "d", size: 4, sha256: undefined, gitOid: undefined, url: url("d") },
    ],
  });
  assert.deepEqual(asked.map(({ url }) => url), [
    "https://hub.example/api/v1/models/me/x/repo/files?Revision=v%2F1&Recursive=True",
  ]);
});

/** Entries of ModelScope with names that count on. */
const entries = (from: number, length: number) =>
  Array.from({ length }, (_, i) => ({ Type: "blob", Path: `f${from + i}`, Size: 1 }));

Deno.test("listFiles() lists a dataset of ModelScope by pages of 200, until one is not full", async () => {
  const { asked, listing } = list(
    "modelscope",
    "dataset",
    (_url, count) =>
      count === 0
        ? Response.json({ Data: { Files: entries(0, 200) } })
        : Response.json({ Success: true, Data: entries(200, 199) }),
    "master",
  );
  const { files } = await listing;
  assert.deepEqual(files.map(({ path }) => path), entries(0, 399).map(({ Path }) => Path));
  const api = "https://hub.example/api/v1/datasets/me/x/repo";
  assert.equal(files[0].url, `${api}?Source=SDK&Revision=master&FilePath=f0`);
  assert.deepEqual(
    asked.map(({ url }) => url),
    [1, 2].map((number) =>
      `${api}/tree?Revision=master&Recursive=True&Root=/&PageNumber=${number}&PageSize=200`
    ),
  );
});

Deno.test("listFiles() takes 500 pages and no more", async () => {
  const link = { link: "<https://hub.example/more>; rel=next" };
  for (const [last, accepted] of [[500, true], [501, false]] as const) {
    const pages = list(
      "huggingface",
      "model",
      (_url, count) =>
        count === 0
          ? Response.json({ sha: COMMIT })
          : new Response("[]", { headers: count < last ? link : {} }),
    );
    if (accepted) assert.deepEqual((await pages.listing).files, []);
    else {
      assert.equal((await reasonOf(pages.listing)).message, problem("it has over 500 pages"));
      assert.equal(pages.asked.length, 501);
    }
  }
  const full = JSON.stringify({
    Data: Array.from({ length: 200 }, () => ({ Type: "tree" })),
  });
  for (const [last, accepted] of [[500, true], [501, false]] as const) {
    const pages = list(
      "modelscope",
      "dataset",
      (_url, count) => new Response(count + 1 < last ? full : '{"Data": []}'),
    );
    if (accepted) assert.deepEqual((await pages.listing).files, []);
    else {
      assert.equal((await reasonOf(pages.listing)).message, problem("it has over 500 pages"));
      assert.equal(pages.asked.length, 500);
    }
  }
});

Deno.test("listFiles() takes 20,000 files and no more", async () => {
  for (const source of ["huggingface", "modelscope"] as const) {
    for (const [count, accepted] of [[20_000, true], [20_001, false]] as const) {
      const answer = source === "modelscope"
        ? modelScope(entries(0, count))
        : huggingFace(entries(0, count).map(({ Path }) => ({ type: "file", path: Path, size: 1 })));
      const { listing } = list(source, "model", answer);
      if (accepted) assert.equal((await listing).files.length, count);
      else {
        assert.equal(
          (await reasonOf(listing)).message,
          problem("it has over 20000 files, more than any model or dataset of text needs"),
        );
      }
    }
  }
});

Deno.test("listFiles() takes an answer of 16 MiB and no more", async () => {
  const limit = 16 * 1024 * 1024;
  for (const source of ["huggingface", "modelscope"] as const) {
    for (const length of [limit, limit + 1]) {
      const text = source === "huggingface" ? `{"sha":"${COMMIT}"}` : '{"Data":[]}';
      const { listing } = list(
        source,
        "model",
        (_url, count) => new Response(count === 0 ? text.padEnd(length) : "[]"),
      );
      if (length === limit) assert.deepEqual((await listing).files, []);
      else {
        assert.equal(
          (await reasonOf(listing)).message,
          "Cannot fetch the file list of me/x from hub.example: the answer is larger than 16777216 bytes, more " +
            "than any listing of a model needs. Check the endpoint",
        );
      }
    }
  }
});

const page = (entry: object) => huggingFace([{ type: "file", path: "a", size: 1, ...entry }]);
for (
  const [name, source, kind, answer, expected] of [
    ["no commit", "huggingface", "model", () => Response.json({}), "the commit has no hash"],
    ["null", "huggingface", "model", () => Response.json(null), "the commit has no hash"],
    [
      "a commit that is no hash",
      "huggingface",
      "model",
      () => Response.json({ sha: `${COMMIT}0` }),
      "the commit has no hash",
    ],
    ["no list", "huggingface", "model", huggingFace({}), "the answer holds no list of files"],
    [
      "no list of ModelScope",
      "modelscope",
      "model",
      () => Response.json({ Data: { Files: null } }),
      "the answer holds no list of files",
    ],
    [
      "what the service says",
      "modelscope",
      "dataset",
      () => Response.json({ Success: false, Message: `no ${"x".repeat(200)}`, Data: [] }),
      `the service says "no ${"x".repeat(117)}"`,
    ],
    ["no path", "huggingface", "model", page({ path: 1 }), "an entry has no path"],
    ...([
      [-1, "-1"],
      [2 ** 40 + 1, `${2 ** 40 + 1}`],
      [0.5, "0.5"],
      ["1", "1"],
      [null, "null"],
    ] as const).map((
      [size, shown],
    ) =>
      [
        `the size ${size}`,
        "huggingface",
        "model",
        page({ size }),
        `the size of a is ${shown}, not from 0 to 2^40 bytes`,
      ] as const
    ),
    [
      "one name twice",
      "huggingface",
      "model",
      huggingFace([{ type: "file", path: "a", size: 1 }, { type: "file", path: "A", size: 1 }]),
      'two files are called "A" there',
    ],
    [
      "a next page elsewhere",
      "huggingface",
      "model",
      (_url: string, count: number) =>
        count === 0
          ? Response.json({ sha: COMMIT })
          : new Response("[]", { headers: { link: '<https://other/x>; rel="next"' } }),
      "its next page is on another host",
    ],
    [
      "a next page nowhere",
      "huggingface",
      "model",
      (_url: string, count: number) =>
        count === 0
          ? Response.json({ sha: COMMIT })
          : new Response("[]", { headers: { link: '<http://>; rel="next"' } }),
      "its next page is on another host",
    ],
  ] as const
) {
  Deno.test(`listFiles() refuses ${name} of ${source}`, async () => {
    const error = await reasonOf(list(source, kind, answer).listing);
    assert.deepEqual({ ...error, message: error.message }, {
      name: "HubError",
      message: problem(expected),
      host: "hub.example",
      status: undefined,
      file: undefined,
      temporary: false,
      retryAfter: undefined,
    });
  });
}

Deno.test("listFiles() says what it could not fetch", async () => {
  for (const source of ["huggingface", "modelscope"] as const) {
    const error = await reasonOf(
      list(source, "dataset", () => new Response(null, { status: 403 })).listing,
    );
    assert.match(
      error.message,
      /^Cannot fetch the file list of me\/x from hub\.example: status 403, me\/x is gated/,
    );
  }
});
