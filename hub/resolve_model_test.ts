import assert from "node:assert/strict";
import { fakeHub } from "../tests/support/fake_hub.ts";
import { downloads, startHub } from "../tests/support/hub_stub.ts";
import type { Fault } from "../tests/support/hub_stub.ts";
import { recordFiles } from "../tests/support/record_files.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import {
  assertGood,
  FILES,
  ID,
  options,
  present,
  TOKEN,
  WANTED,
} from "../tests/support/tiny_hub.ts";
import { HubError } from "./hub_error.ts";
import type { HubOptions, HubSource } from "./hub_options.ts";
import { resolveDatasetFile } from "./resolve_dataset_file.ts";
import { isModelFile, resolveModel } from "./resolve_model.ts";

for (const source of ["huggingface", "modelscope"] as const) {
  Deno.test(`resolveModel() fetches what a model needs from ${source}, and nothing twice`, async () => {
    await using hub = startHub(FILES);
    await using folder = await tempFolder();
    const seen: number[] = [];
    const given = options(hub, folder, {
      source,
      token: TOKEN,
      onProgress: ({ bytes, size }) => seen.push(bytes / size),
    });
    assert.equal(await resolveModel(ID, given), `${folder.path}/models/${ID}`);
    assert.deepEqual(await present(folder), WANTED);
    await assertGood(hub, folder, WANTED);
    assert.equal(seen.at(-1), 1);
    assert.deepEqual(downloads(hub).sort(), WANTED);
    for (const { headers } of hub.requests) {
      assert.equal(headers.get("authorization"), `Bearer ${TOKEN}`);
      assert.equal(
        headers.get("cookie"),
        source === "modelscope" ? `m_session_id=${TOKEN}` : null,
      );
    }
    hub.requests.length = 0;
    await resolveModel(ID, given);
    assert.deepEqual(downloads(hub), []);
    const record = JSON.parse(
      await Deno.readTextFile(`${folder.path}/models/${ID}/.ortune.json`),
    );
    assert.deepEqual([record.id, record.source, record.complete], [ID, source, true]);
    assert.deepEqual(Object.keys(record.files), WANTED);
  });

  Deno.test(`resolveDatasetFile() fetches one file from ${source}`, async () => {
    await using hub = startHub({ "train.jsonl": "{}\n", "sub/a b#ü.jsonl": "[]", "x.bin": "x" });
    await using folder = await tempFolder();
    const given = options(hub, folder, { source });
    const path = await resolveDatasetFile(ID, "sub/a b#ü.jsonl", given);
    assert.equal(await Deno.readTextFile(path), "[]");
    assert.equal(downloads(hub).length, 1);
    await resolveDatasetFile(ID, "train.jsonl", given);
    assert.equal(await Deno.readTextFile(path), "[]");
    hub.requests.length = 0;
    for (const file of ["sub/a b#ü.jsonl", "train.jsonl"]) {
      await resolveDatasetFile(ID, file, { ...given, offline: true });
    }
    assert.equal(hub.requests.length, 0);
    await assert.rejects(resolveDatasetFile(ID, "none.jsonl", given), {
      message: `Cannot fetch none.jsonl of ${ID} from ${
        new URL(hub.endpoint).host
      }: the dataset has no such file. It has train.jsonl, sub/a b#ü.jsonl, x.bin; name one of them`,
    });
  });
}

Deno.test("resolveModel() syncs the folder of the files when they all have their names", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  using record = await recordFiles();
  await resolveModel(ID, options(hub, folder));
  const renamed = record.calls.findLastIndex((call) => /^rename \w+\.part to /.test(call));
  assert.equal(record.calls.filter((call) => call.includes(".part to ")).length, WANTED.length);
  assert.ok(record.calls.indexOf("sync tiny") > renamed, record.calls.join("\n"));
});

Deno.test("an interrupted download goes on with Range and If-Range", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const big = "model-00001-of-00002.safetensors";
  hub.fault = (file) => file === big ? "cut" : undefined;
  await assert.rejects(resolveModel(ID, options(hub, folder)), /tried 5 times/);
  const first = hub.requests.filter(({ path }) => path.endsWith(big));
  assert.deepEqual(first.map(({ headers }) => headers.get("range")), [
    null,
    "bytes=15000-",
    "bytes=22500-",
    "bytes=26250-",
    "bytes=28125-",
  ]);
  assert.ok(first.slice(1).every(({ headers }) => /^"\w+"$/.test(headers.get("if-range")!)));
  assert.ok(!(await present(folder)).includes(big));

  // A new process goes on as well, from what is on the disk.
  hub.fault = () => undefined;
  hub.requests.length = 0;
  await resolveModel(ID, options(hub, folder));
  const last = hub.requests.find(({ path }) => path.endsWith(big))!;
  assert.equal(last.headers.get("range"), "bytes=29063-");
  await assertGood(hub, folder, WANTED);
});

Deno.test("a file that changed on the host is fetched from its start", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const big = "model-00001-of-00002.safetensors";
  let tries = 0;
  hub.fault = (file) => file !== big ? undefined : tries++ === 0 ? "cut" : "changed";
  await resolveModel(ID, options(hub, folder));
  assert.equal(tries, 2);
  await assertGood(hub, folder, WANTED);
});

Deno.test("a part that does not fit what is here is thrown away unread", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const big = "model-00001-of-00002.safetensors";
  const faults: (Fault | undefined)[] = [
    "cut",
    "wrong range",
    "cut",
    "416",
    "cut",
    "ignored range",
  ];
  hub.fault = (file) => file === big ? faults.shift() : undefined;
  await assert.rejects(resolveModel(ID, options(hub, folder)), /it ended after 15000 of 30000/);
  await resolveModel(ID, options(hub, folder));
  const asked = hub.requests.filter(({ path }) => path.endsWith(big));
  assert.deepEqual(asked.map(({ headers }) => headers.get("range")), [
    null,
    "bytes=15000-",
    null,
    "bytes=15000-",
    null,
    "bytes=15000-",
  ]);
  await assertGood(hub, folder, WANTED);
});

Deno.test("a file without a published checksum is fetched whole, and said to be unchecked", async () => {
  await using hub = startHub({ "train.jsonl": "0123456789" });
  await using folder = await tempFolder();
  hub.listed = (entry) => ({ ...entry, Sha256: "" });
  const notices: string[] = [];
  let asked = 0;
  hub.fault = (file) => file !== undefined && asked++ === 0 ? "cut" : undefined;
  await resolveDatasetFile(
    ID,
    "train.jsonl",
    options(hub, folder, { source: "modelscope", onNotice: (text) => notices.push(text) }),
  );
  assert.match(notices.join(), /train\.jsonl: .* publishes no checksum, only its size was checked/);
  assert.equal(asked, 2);
});

Deno.test("a fetched file that was changed since is fetched again, and said so", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const notices: string[] = [];
  const given = options(hub, folder, { onNotice: (text) => notices.push(text) });
  await resolveModel(ID, given);
  await Deno.writeTextFile(`${folder.path}/models/${ID}/config.json`, "{}");
  await resolveModel(ID, given);
  await assertGood(hub, folder, WANTED);
  assert.match(notices.join(), /config\.json was changed since it was fetched: fetching it again/);
});

Deno.test("a partial file that was damaged on the disk is thrown away", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  hub.fault = (file) => file?.includes("00001") ? "cut" : undefined;
  await assert.rejects(resolveModel(ID, options(hub, folder)));
  const partials = `${folder.path}/models/${ID}/.ortune-partial`;
  for await (const { name } of Deno.readDir(partials)) {
    if (!name.endsWith(".part")) continue;
    const partial = await Deno.readFile(`${partials}/${name}`);
    partial[10] ^= 1;
    await Deno.writeFile(`${partials}/${name}`, partial);
  }
  hub.fault = () => undefined;
  await resolveModel(ID, options(hub, folder));
  await assertGood(hub, folder, WANTED);
});

Deno.test("offline makes no request, and says what is missing", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const offline = options(hub, folder, {
    offline: true,
    fetch: () => assert.fail("a request was made"),
  });
  const at = `${folder.path}/models/${ID}`;
  const way = "Fetch it once while online, or copy the folder from a machine that did " +
    "(from Hugging Face or another source)";
  await assert.rejects(resolveModel(ID, offline), {
    name: "HubError",
    message: `Cannot use ${ID} offline: no complete copy is in ${at}. ${way}`,
  });
  await assert.rejects(Deno.stat(`${folder.path}/models`), Deno.errors.NotFound);
  await resolveModel(ID, options(hub, folder));
  hub.requests.length = 0;
  assert.equal(await resolveModel(ID, offline), at);
  await assert.rejects(resolveModel(ID, { ...offline, revision: "v2" }), {
    message: `Cannot use ${ID} offline: revision main, not v2, is in ${at}. ${way}`,
  });
  await Deno.writeTextFile(`${at}/config.json`, "{}");
  await assert.rejects(resolveModel(ID, offline), {
    message: `Cannot use ${ID} offline: config.json with 2 bytes instead of 23 is in ${at}. ${way}`,
  });
  await Deno.remove(`${at}/config.json`);
  await assert.rejects(resolveModel(ID, offline), /no config\.json is in/);
  assert.equal(hub.requests.length, 0);
});

Deno.test("the token does not follow a redirect to another host", async () => {
  for (const source of ["huggingface", "modelscope"] as const) {
    await using hub = startHub(FILES);
    await using folder = await tempFolder();
    hub.fault = () => "redirect";
    await resolveModel(ID, options(hub, folder, { source, token: TOKEN }));
    await assertGood(hub, folder, WANTED);
    const elsewhere = hub.requests.filter(({ host }) => host === "elsewhere");
    assert.ok(elsewhere.length > WANTED.length);
    for (const { path, headers } of elsewhere) {
      assert.ok(!JSON.stringify([path, ...headers]).includes(TOKEN));
    }
  }
});

Deno.test("a next page on another host is not asked", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const wrapped: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (!String(input).includes("/tree/")) return response;
    const headers = { link: `<${hub.elsewhere}/more>; rel="next"` };
    return new Response(await response.text(), { headers });
  };
  await assert.rejects(
    resolveModel(ID, options(hub, folder, { fetch: wrapped, token: TOKEN })),
    /its next page is on another host/,
  );
  assert.ok(hub.requests.every(({ host }) => host === "hub"));
});

const STATUS: readonly (readonly [Fault, HubSource, RegExp])[] = [
  ["403", "huggingface", /status 403, owner\/tiny is gated or private.*set HF_TOKEN/],
  ["403", "modelscope", /status 403, owner\/tiny is gated or private.*set MODELSCOPE_API_TOKEN/],
  ["404", "huggingface", /status 404, not found.*or try ModelScope \(--source modelscope\)$/],
  ["404", "modelscope", /status 404, not found.*or try Hugging Face \(--source huggingface\)$/],
  ["429", "huggingface", /status 429, too many requests.*\(tried 5 times\)$/],
  ["503", "modelscope", /status 503, the service has trouble.*--source huggingface.*tried 5/],
  ["corrupt", "huggingface", /do not have the published checksum, so they were thrown away/],
  ["longer", "modelscope", /more than \d+ bytes came.*tried 5 times/],
  ["cut", "huggingface", /it ended after \d+ of \d+ bytes.*set HF_ENDPOINT/],
  ["stall", "huggingface", /nothing came for 0.1 s/],
  ["silence", "modelscope", /nothing came for 0.1 s.*--source huggingface/],
  ["redirect to file", "huggingface", /it redirects to no usable address/],
  ["redirect loop", "modelscope", /it redirects more than 5 times/],
];
for (const [fault, source, expected] of STATUS) {
  Deno.test(`resolveModel() explains "${fault}" of ${source}`, async () => {
    await using hub = startHub(FILES);
    await using folder = await tempFolder();
    hub.fault = (file) => file === "model-00001-of-00002.safetensors" ? fault : undefined;
    const given = options(hub, folder, { source, stallMilliseconds: 100 });
    await assert.rejects(resolveModel(ID, given), (error: unknown) => {
      assert.ok(error instanceof HubError);
      assert.match(error.message, expected);
      assert.ok(error.message.includes(new URL(hub.endpoint).host));
      assert.equal(error.file, "model-00001-of-00002.safetensors");
      if (/^\d+$/.test(fault)) assert.equal(error.status, Number(fault));
      return true;
    });
    assert.ok(!(await present(folder)).includes("model-00001-of-00002.safetensors"));
  });
}

Deno.test("a host that cannot be reached is named, with the other source", async () => {
  await using folder = await tempFolder();
  const hub = startHub({});
  await hub[Symbol.asyncDispose]();
  await assert.rejects(
    resolveModel(ID, options(hub, folder)),
    /Cannot fetch the file list of owner\/tiny from 127\.0\.0\.1:\d+: the connection failed \(.*\)\. Check the network, set HF_ENDPOINT to a mirror, or use ModelScope \(--source modelscope\) \(tried 5 times\)/,
  );
});

Deno.test("waits grow with jitter, and follow Retry-After", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const waits: number[] = [];
  const sleep = (wait: number): Promise<void> => Promise.resolve(void waits.push(wait));
  let asked = 0;
  const busy: typeof fetch = () => {
    const headers: Record<string, string> = asked++ === 2 ? { "retry-after": "7" } : {};
    return Promise.resolve(new Response("", { status: 429, headers }));
  };
  const given = options(hub, folder, { sleep, random: () => 0.5, fetch: busy });
  await assert.rejects(resolveModel(ID, given), /status 429/);
  assert.deepEqual(waits, [375, 750, 7000, 3000]);
  const hours: typeof fetch = () =>
    Promise.resolve(new Response("", { status: 503, headers: { "retry-after": "7200" } }));
  await assert.rejects(
    resolveModel(ID, { ...given, fetch: hours }),
    /It asks to wait 7200 s: try again then/,
  );
  assert.equal(waits.length, 4);
});

Deno.test("what may pass is tried again, and nothing else", async () => {
  await using hub = startHub({});
  await using folder = await tempFolder();
  for (const status of [400, 401, 403, 404, 408, 416, 425, 429, 500, 501, 502, 503, 504, 505]) {
    let asked = 0;
    const answer: typeof fetch = () => {
      asked++;
      return Promise.resolve(new Response("", { status }));
    };
    await assert.rejects(resolveModel(ID, options(hub, folder, { fetch: answer })), `${status}`);
    const passes = [408, 425, 429, 500, 502, 503, 504].includes(status);
    assert.equal(asked, passes ? 5 : 1, `status ${status}`);
  }
});

const HOSTILE: readonly (readonly [string, RegExp])[] = [
  ["../evil.safetensors", /its path holds the part "\.\."/],
  ["a/../../evil", /its path holds the part "\.\."/],
  ["/etc/passwd", /its path is absolute/],
  ["C:/evil", /a backslash or a colon/],
  ["..\\evil", /a backslash or a colon/],
  ["a//b", /its path holds the part ""/],
  ["./a", /its path holds the part "\."/],
  ["", /its path is empty/],
  ["a\0b", /control characters/],
  ["a\nb", /control characters/],
  ["x".repeat(2000), /longer than 1024/],
  ["字".repeat(100), /more than 255 bytes/],
  ["con.json", /Windows device/],
  ["evil. ", /ends with a dot or a blank/],
  [".ortune.json", /a name that ortune keeps/],
  ["\ud800", /not valid Unicode/],
];
for (const [path, expected] of HOSTILE) {
  Deno.test(`a listing with ${JSON.stringify(path.slice(0, 20))} is refused whole`, async () => {
    await using hub = startHub(FILES);
    await using folder = await tempFolder();
    hub.listed = (entry) =>
      "path" in entry && entry.path === "README.md" ? { ...entry, path } : entry;
    await assert.rejects(resolveModel(ID, options(hub, folder)), expected);
    assert.deepEqual([await present(folder), downloads(hub)], [[], []]);
  });
}

const LISTINGS: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  ["a negative size", { size: -1 }, /the size of README\.md is -1, not from 0 to 2\^40 bytes/],
  ["a size beyond all models", { size: 2 ** 41 }, /not from 0 to 2\^40 bytes/],
  ["no size", { size: undefined }, /the size of README\.md is undefined/],
  ["no path", { path: 7 }, /an entry has no path/],
  ["a name twice", { path: "CONFIG.json" }, /two files are called/],
];
for (const [name, change, expected] of LISTINGS) {
  Deno.test(`a listing with ${name} is refused`, async () => {
    await using hub = startHub(FILES);
    await using folder = await tempFolder();
    hub.listed = (entry) => entry.path === "README.md" ? { ...entry, ...change } : entry;
    await assert.rejects(resolveModel(ID, options(hub, folder)), expected);
    assert.deepEqual(downloads(hub), []);
  });
}

Deno.test("listings are bounded in bytes and in files", async () => {
  await using hub = startHub({});
  await using folder = await tempFolder();
  const huge: typeof fetch = () => Promise.resolve(new Response(new Uint8Array(17 * 1024 * 1024)));
  await assert.rejects(
    resolveModel(ID, options(hub, folder, { fetch: huge })),
    /the answer is larger than 16777216 bytes/,
  );
  const many: typeof fetch = (input) =>
    Promise.resolve(Response.json(
      String(input).includes("/revision/")
        ? { sha: "a".repeat(40) }
        : Array.from({ length: 20_001 }, (_, i) => ({ type: "file", path: `f${i}`, size: 1 })),
    ));
  await assert.rejects(
    resolveModel(ID, options(hub, folder, { fetch: many })),
    /it has over 20000 files/,
  );
});

Deno.test("ids, revisions, endpoints and tokens are checked before any request", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const given = options(hub, folder);
  for (const id of ["gpt2", "a/b/c", "../x", "a/..", "a/.b", "a b/c", "a/b?x", ""]) {
    await assert.rejects(resolveModel(id, given), /is not of the form owner\/name/);
  }
  for (const revision of ["../main", "a//b", " main", "-x", ""]) {
    await assert.rejects(
      resolveModel(ID, { ...given, revision }),
      /is not a branch, tag or commit/,
    );
  }
  for (const endpoint of ["file:///x", "huggingface.co", "http://u:p@h", "http://h/?q"]) {
    await assert.rejects(resolveModel(ID, { ...given, endpoint }), /Correct HF_ENDPOINT/);
  }
  await assert.rejects(resolveModel(ID, { ...given, token: "a\r\nb" }), (error: Error) => {
    assert.match(error.message, /Correct HF_TOKEN/);
    return !error.message.includes("a\r\nb");
  });
  assert.equal(hub.requests.length, 0);
});

Deno.test("links are not written through", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  await using outside = await tempFolder();
  await Deno.mkdir(`${folder.path}/models`);
  await Deno.symlink(outside.path, `${folder.path}/models/owner`);
  await assert.rejects(resolveModel(ID, options(hub, folder)), /it is a link\. Remove it/);
  await Deno.remove(`${folder.path}/models/owner`);
  await Deno.mkdir(`${folder.path}/models/${ID}`, { recursive: true });
  await outside.write("config.json", FILES["config.json"]);
  await Deno.symlink(`${outside.path}/config.json`, `${folder.path}/models/${ID}/config.json`);
  await assert.rejects(resolveModel(ID, options(hub, folder)), /it is a link\. Remove it/);
});

Deno.test("files that were not fetched are never replaced; those that fit are taken", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const at = `${folder.path}/models/${ID}`;
  await Deno.mkdir(at, { recursive: true });
  await Deno.writeTextFile(`${at}/config.json`, '{"mine": true}');
  await assert.rejects(
    resolveModel(ID, options(hub, folder)),
    /another file of that name is there, which was not fetched/,
  );
  assert.equal(await Deno.readTextFile(`${at}/config.json`), '{"mine": true}');
  await Deno.writeTextFile(`${at}/config.json`, FILES["config.json"] as string);
  await resolveModel(ID, options(hub, folder));
  assert.ok(!downloads(hub).includes("config.json"));
});

Deno.test("another revision replaces what changed and removes what is gone", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  await resolveModel(ID, options(hub, folder));
  hub.files.set("config.json", new TextEncoder().encode('{"new": 1}'));
  hub.files.delete("model-00002-of-00002.safetensors");
  hub.requests.length = 0;
  // An update that fails half-way is gone on with.
  hub.fault = (file) => file === "config.json" ? "503" : undefined;
  await assert.rejects(resolveModel(ID, options(hub, folder)), /503/);
  await assert.rejects(
    resolveModel(ID, options(hub, folder, { offline: true })),
    /no complete copy/,
  );
  hub.fault = () => undefined;
  await resolveModel(ID, options(hub, folder));
  const names = WANTED.filter((name) => !name.includes("00002-of"));
  assert.deepEqual(await present(folder), names);
  await assertGood(hub, folder, names);
  assert.deepEqual(new Set(downloads(hub)), new Set(["config.json"]));
});

Deno.test("a download that failed is no complete copy, and what came of it counts when it goes on", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const failing = "model-00002-of-00002.safetensors";
  hub.fault = (file) => file === failing ? "503" : undefined;
  await assert.rejects(resolveModel(ID, options(hub, folder)), /503/);
  const there = await present(folder);
  assert.ok(there.length > 0 && !there.includes(failing));
  await assert.rejects(
    resolveModel(ID, options(hub, folder, { offline: true })),
    /no complete copy/,
  );
  hub.fault = () => undefined;
  hub.requests.length = 0;
  let last: unknown;
  const onProgress: HubOptions["onProgress"] = ({ file: _, ...sums }) => last = sums;
  await resolveModel(ID, options(hub, folder, { onProgress }));
  assert.deepEqual(downloads(hub).sort(), WANTED.filter((name) => !there.includes(name)));
  const size = WANTED.reduce((sum, name) => sum + hub.files.get(name)!.length, 0);
  const { length } = WANTED;
  assert.deepEqual(last, { bytes: size, size, filesDone: length, files: length });
});

Deno.test("a model without config or safetensors is refused with the reason", async () => {
  await using folder = await tempFolder();
  await using bare = startHub({ "config.json": "{}", "pytorch_model.bin": "x" });
  await assert.rejects(resolveModel(ID, options(bare, folder)), /it has no \.safetensors weights/);
  // A tokenizer's config is none of a model.
  await using other = startHub({ "model.safetensors": "x", "tokenizer_config.json": "{}" });
  await assert.rejects(resolveModel(ID, options(other, folder)), /it has no config\.json/);
});

Deno.test("fetchers of one model take turns and leave it whole", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const notices: string[] = [];
  await Promise.all(
    Array.from({ length: 4 }, () =>
      resolveModel(
        ID,
        options(hub, folder, { onNotice: (text) => notices.push(text) }),
      )),
  );
  await assertGood(hub, folder, WANTED);
  assert.deepEqual(downloads(hub).sort(), WANTED);
  assert.equal(notices.length, 3);
  assert.match(notices[0], /^Waiting for another download into .* to end$/);
});

Deno.test("an abort stops the download with its reason and keeps what came", async () => {
  await using hub = startHub(FILES);
  await using folder = await tempFolder();
  const stop = new AbortController();
  const reason = new Error("enough");
  hub.fault = (file) => file?.endsWith(".safetensors") ? "stall" : undefined;
  const given = options(hub, folder, {
    signal: stop.signal,
    onProgress: ({ bytes }) => bytes > 24_000 && stop.abort(reason),
  });
  await assert.rejects(resolveModel(ID, given), reason);
  hub.fault = () => undefined;
  hub.requests.length = 0;
  await resolveModel(ID, options(hub, folder));
  assert.ok(hub.requests.some(({ headers }) => headers.has("range")));
  await assertGood(hub, folder, WANTED);
});

Deno.test("isModelFile() takes what a model or an adapter needs, and nothing else", () => {
  for (
    const path of [
      ...["config.json", "adapter_config.json", "generation_config.json", "tokenizer.json"],
      ...["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"],
      ...["merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json"],
      ...["model.safetensors.index.json", "chat_settings.json", "training_args.json"],
      ...["model.safetensors", "adapter_model.safetensors", "model-00001-of-00002.safetensors"],
    ]
  ) assert.ok(isModelFile(path), path);
  for (
    const path of [
      ...["README.md", "consolidated.safetensors", "a/model.safetensors", "pytorch_model.bin"],
      ...["a/config.json", "model.safetensors.bak", "preprocessor_config.json"],
    ]
  ) assert.ok(!isModelFile(path), path);
});

Deno.test("resolveModel() takes an adapter, or what is asked for, and says what is missing", async () => {
  const need = async (files: readonly string[], select?: (path: string) => boolean) => {
    await using folder = await tempFolder();
    const { fetch, fetched } = fakeHub(Object.fromEntries(files.map((path) => [path, path])));
    const given = { source: "huggingface", cacheDir: folder.path, fetch, select } as const;
    const failed = await resolveModel(ID, given).then(() => undefined, (error: HubError) => error);
    if (failed === undefined) return fetched.sort();
    assert.equal(failed.host, "huggingface.co");
    const [, problem] =
      /^Cannot fetch owner\/tiny from huggingface\.co: it has (.+)\. Choose a model with config\.json and safetensors, the format of Hugging Face's transformers$/
        .exec(failed.message)!;
    return problem;
  };
  const adapter = ["adapter_config.json", "adapter_model.safetensors"];
  assert.deepEqual(await need([...adapter, "README.md"]), adapter);
  assert.deepEqual(await need(["config.json", "m.safetensors"]), ["config.json", "m.safetensors"]);
  assert.equal(
    await need(["m.safetensors", "tokenizer.json"]),
    "no config.json, nor an adapter's adapter_config.json",
  );
  assert.equal(await need(["config.json", "a.bin"]), "no .safetensors weights");
  assert.equal(await need([]), "no config.json, nor an adapter's adapter_config.json");
  const markdown = (path: string) => path.endsWith(".md");
  assert.deepEqual(await need([...adapter, "README.md"], markdown), ["README.md"]);
  assert.equal(await need(adapter, markdown), "no file that was asked for");
});
