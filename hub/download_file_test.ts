import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { recordFiles } from "../tests/support/record_files.ts";
import { reasonOf, scriptedHub } from "../tests/support/scripted_hub.ts";
import { type TempFolder, tempFolder } from "../tests/support/temp_folder.ts";
import { digestFile, downloadFile, matches } from "./download_file.ts";
import { HubError } from "./hub_error.ts";
import type { HubFile } from "./list_files.ts";

const BYTES = Uint8Array.from({ length: 100 }, (_, i) => i);
const FILE: HubFile = {
  path: "a.bin",
  size: 100,
  sha256: undefined,
  gitOid: undefined,
  url: "https://hub.example/a.bin",
};
const HASHED: HubFile = { ...FILE, sha256: createHash("sha256").update(BYTES).digest("hex") };

/** What a request asks a part by. */
interface Asked {
  readonly range: string | null;
  readonly ifRange: string | null;
}

/** Fetches the file from answers in their order; tells what was asked. */
async function download(
  folder: TempFolder,
  file: HubFile,
  answers: readonly Response[],
): Promise<Asked[]> {
  const left = [...answers];
  const { client, asked } = scriptedHub(() => left.shift()!);
  const paths = { target: `${folder.path}/a.bin`, partial: `${folder.path}/a.part` };
  await downloadFile(client, file, { id: "owner/tiny", ...paths });
  assert.deepEqual(await Deno.readFile(paths.target), BYTES);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name).sort(), ["a.bin"]);
  return asked.map(({ headers }) => ({
    range: headers.range ?? null,
    ifRange: headers["if-range"] ?? null,
  }));
}

const whole = (headers = {}) => new Response(BYTES, { headers });
/** The first 40 bytes of an answer that breaks off. */
const cut = (headers = {}) => new Response(BYTES.slice(0, 40), { headers });
const part = (from: number, contentRange: string) =>
  new Response(BYTES.slice(from), { status: 206, headers: { "content-range": contentRange } });

Deno.test("downloadFile() syncs the bytes before they have the file's name", async () => {
  await using folder = await tempFolder();
  using record = await recordFiles();
  await download(folder, HASHED, [whole()]);
  assert.deepEqual(record.calls, ["sync a.part", "rename a.part to a.bin"]);
});

Deno.test("downloadFile() writes through no link that stands in the partial file's place", async () => {
  await using folder = await tempFolder();
  await using elsewhere = await tempFolder();
  const other = await elsewhere.write("other", "somebody's");
  await Deno.symlink(other, `${folder.path}/a.part`);
  await download(folder, HASHED, [whole()]);
  assert.equal(await Deno.readTextFile(other), "somebody's");
});

Deno.test("downloadFile() without a checksum goes on by a strong ETag alone", async () => {
  const begins = { range: null, ifRange: null };
  for (
    const [etag, second] of [
      ['"strong"', { range: "bytes=40-", ifRange: '"strong"' }],
      ['W/"weak"', begins],
      ["bare", begins],
      ['""', begins],
    ] as const
  ) {
    await using folder = await tempFolder();
    const next = second.range === null ? whole() : part(40, "bytes 40-99/100");
    assert.deepEqual(await download(folder, FILE, [cut({ etag }), next]), [begins, second], etag);
  }
});

Deno.test("downloadFile() takes a part that goes on where it ended, of a file of the same length", async () => {
  const fits = ["bytes 40-99/100", "bytes 40-99/*"];
  const wrong = ["bytes 40-99/101", "bytes 40-99/99", "bytes 41-99/100", "40-99/100", ""];
  for (const range of [...fits, ...wrong]) {
    await using folder = await tempFolder();
    const asked = await download(folder, HASHED, [cut(), part(40, range), whole()]);
    const again = fits.includes(range) ? [] : [null];
    assert.deepEqual(asked.map((each) => each.range), [null, "bytes=40-", ...again], range);
  }
});

/** What a download that fails says, how often it asked, and what it leaves. */
async function failing(
  file: HubFile,
  answer: (url: string, init: RequestInit, count: number) => Response,
): Promise<{ error: HubError; ranges: (string | undefined)[]; left: [string, number][] }> {
  await using folder = await tempFolder();
  const { client, asked } = scriptedHub(answer);
  const paths = { target: `${folder.path}/a.bin`, partial: `${folder.path}/a.part` };
  const error = await reasonOf(downloadFile(client, file, { id: "owner/tiny", ...paths }));
  assert.ok(error instanceof HubError);
  const left = [...Deno.readDirSync(folder.path)].map(({ name }): [string, number] => [
    name,
    Deno.statSync(`${folder.path}/${name}`).size,
  ]);
  return { error, ranges: asked.map(({ headers }) => headers.range), left: left.sort() };
}

const details = ({ message, host, status, file, temporary }: HubError) => ({
  message,
  host,
  status,
  file,
  temporary,
});
const GO_ON =
  "Run again, which goes on from there, or check the network, set HF_ENDPOINT to a mirror, or use ModelScope " +
  "(--source modelscope)";

Deno.test("downloadFile() says after how many bytes an answer ended, and keeps them", async () => {
  const { error, ranges, left } = await failing(
    HASHED,
    (_url, init) =>
      new Headers(init.headers).has("range")
        ? new Response(new Uint8Array(0), {
          status: 206,
          headers: { "content-range": "bytes 40-99/100" },
        })
        : cut(),
  );
  assert.deepEqual(details(error), {
    message:
      `Cannot fetch a.bin of owner/tiny from hub.example: it ended after 40 of 100 bytes. ${GO_ON} (tried 5 times)`,
    host: "hub.example",
    status: undefined,
    file: "a.bin",
    temporary: true,
  });
  assert.deepEqual(ranges, [undefined, ...Array(4).fill("bytes=40-")]);
  assert.deepEqual(left, [["a.part", 40]]);
});

Deno.test("downloadFile() throws away what is more than the file, and an empty partial file", async () => {
  const { error, ranges, left } = await failing(
    HASHED,
    () => new Response(new Uint8Array(101)),
  );
  assert.deepEqual(details(error), {
    message:
      `Cannot fetch a.bin of owner/tiny from hub.example: more than 100 bytes came. ${GO_ON} (tried 5 times)`,
    host: "hub.example",
    status: undefined,
    file: "a.bin",
    temporary: true,
  });
  assert.deepEqual(ranges, Array(5).fill(undefined));
  assert.deepEqual(left, []);
});

Deno.test("downloadFile() starts over where the host does not have the range", async () => {
  const { error, ranges, left } = await failing(
    HASHED,
    (_url, init, count) =>
      new Headers(init.headers).has("range")
        ? new Response(null, { status: 416 })
        : count > 3
        ? new Response(null, { status: 400 })
        : cut(),
  );
  assert.deepEqual(
    error.message,
    `Cannot fetch a.bin of owner/tiny from hub.example: status 400. ${"Check the network, set HF_ENDPOINT to a mirror, or use ModelScope (--source modelscope)"}`,
  );
  assert.deepEqual(ranges, [undefined, "bytes=40-", undefined, "bytes=40-", undefined]);
  assert.deepEqual(left, []);
  const last = await failing(
    HASHED,
    (_url, init) =>
      new Headers(init.headers).has("range") ? new Response(null, { status: 416 }) : cut(),
  );
  // The fifth answer is one that broke off.
  assert.match(last.error.message, /it ended after 40 of 100 bytes/);
  const refused = await failing(HASHED, () => new Response(null, { status: 416 }));
  assert.match(refused.error.message, /: it does not have the range asked for\. Run again, /);
  assert.deepEqual(refused.ranges.length, 5);
});

Deno.test("downloadFile() says that a part does not fit, with its status", async () => {
  for (
    const [status, range] of [[206, "bytes 0-99/100"], [201, "bytes 40-99/100"], [204, ""]] as const
  ) {
    const { error, left } = await failing(
      HASHED,
      () => new Response(null, { status, headers: { "content-range": range } }),
    );
    assert.equal(
      error.message,
      `Cannot fetch a.bin of owner/tiny from hub.example: status ${status} came with a part that does not fit. ` +
        `${GO_ON} (tried 5 times)`,
    );
    assert.deepEqual(left, []);
  }
});

Deno.test("downloadFile() throws away bytes without the published checksum, and begins anew", async () => {
  const { error, ranges, left } = await failing(HASHED, () => new Response(new Uint8Array(100)));
  assert.deepEqual(details(error), {
    message:
      "Cannot fetch a.bin of owner/tiny from hub.example: its 100 bytes do not have the published checksum, so " +
      "they were thrown away. Run again, as the repository may have changed meanwhile; if it stays so, check the " +
      "network, set HF_ENDPOINT to a mirror, or use ModelScope (--source modelscope) (tried 5 times)",
    host: "hub.example",
    status: undefined,
    file: "a.bin",
    temporary: true,
  });
  assert.deepEqual(ranges, Array(5).fill(undefined));
  assert.deepEqual(left, []);
});

Deno.test("downloadFile() tells of bytes as they come, gives the SHA-256, and asks nothing of a whole partial file", async () => {
  await using folder = await tempFolder();
  const paths = { target: `${folder.path}/a.bin`, partial: `${folder.path}/a.part` };
  const seen: number[] = [];
  const job = { id: "owner/tiny", ...paths, onBytes: (bytes: number) => void seen.push(bytes) };
  const answers = [cut({ etag: '"x"' }), part(40, "bytes 40-99/100")];
  const first = scriptedHub((_url, _init, count) => answers[count]);
  assert.equal(await downloadFile(first.client, HASHED, job), HASHED.sha256);
  assert.deepEqual(seen, [40, 100]);
  await Deno.rename(paths.target, paths.partial);
  const second = scriptedHub(() => assert.fail("asked"));
  assert.equal(await downloadFile(second.client, HASHED, job), HASHED.sha256);
  assert.deepEqual(seen, [40, 100]);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["a.bin"]);
  // One that is longer than the file is begun anew; so is a folder of that name.
  await Deno.remove(paths.target);
  await Deno.writeFile(paths.partial, new Uint8Array(101));
  const third = scriptedHub(() => whole());
  await downloadFile(third.client, HASHED, job);
  assert.equal(third.asked[0].headers.range, undefined);
  assert.deepEqual(await Deno.readFile(paths.target), BYTES);
  await Deno.mkdir(`${paths.partial}/sub`, { recursive: true });
  await downloadFile(scriptedHub(() => whole()).client, HASHED, job);
  assert.deepEqual(await Deno.readFile(paths.target), BYTES);
});

Deno.test("downloadFile() fetches a file of no bytes, and one known by git's checksum alone", async () => {
  await using folder = await tempFolder();
  const paths = { target: `${folder.path}/a.bin`, partial: `${folder.path}/a.part` };
  const empty = { ...FILE, size: 0, gitOid: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" };
  const { client, asked } = scriptedHub(() => new Response(""));
  assert.equal(
    await downloadFile(client, empty, { id: "owner/tiny", ...paths }),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
  assert.equal(asked.length, 1);
  assert.equal((await Deno.stat(paths.target)).size, 0);
  const hello = new TextEncoder().encode("hello\n");
  // git hash-object of it
  const git = { ...FILE, size: 6, gitOid: "ce013625030ba8dba906f756967f9e9ca394464a" };
  const answers = [new Response(hello.slice(0, 2)), new Response(hello)];
  const other = scriptedHub((_url, _init, count) => answers[count]);
  await downloadFile(other.client, git, { id: "owner/tiny", ...paths });
  assert.equal(await Deno.readTextFile(paths.target), "hello\n");
  // A checksum is reason enough to go on from what is here.
  assert.deepEqual(other.asked.map(({ headers }) => headers.range), [undefined, "bytes=2-"]);
});

Deno.test("downloadFile() goes on from a single byte", async () => {
  await using folder = await tempFolder();
  const first = new Response(BYTES.slice(0, 1));
  const asked = await download(folder, HASHED, [first, part(1, "bytes 1-99/100")]);
  assert.deepEqual(asked.map(({ range }) => range), [null, "bytes=1-"]);
});

Deno.test("downloadFile() forgets the ETag with the bytes that it was of", async () => {
  await using folder = await tempFolder();
  const paths = { target: `${folder.path}/a.bin`, partial: `${folder.path}/a.part` };
  const answers = [cut({ etag: '"one"' }), new Response(null, { status: 403 })];
  const { client, asked } = scriptedHub((_url, _init, count) => answers[count]);
  await reasonOf(downloadFile(client, FILE, { id: "owner/tiny", ...paths }));
  assert.equal(await Deno.readTextFile(`${paths.partial}.etag`), '"one"');
  assert.equal((await Deno.stat(paths.partial)).size, 40);
  const next = scriptedHub((_url, _init, count) =>
    count === 0 ? new Response(null, { status: 416 }) : new Response(null, { status: 403 })
  );
  await reasonOf(downloadFile(next.client, FILE, { id: "owner/tiny", ...paths }));
  assert.deepEqual(
    [...asked, ...next.asked].map(({ headers }) => [headers.range, headers["if-range"]]),
    [[undefined, undefined], ["bytes=40-", '"one"'], ["bytes=40-", '"one"'], [
      undefined,
      undefined,
    ]],
  );
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
});

Deno.test("downloadFile() tells of a partial file that cannot be opened, and of a target that cannot be had", async () => {
  await using folder = await tempFolder();
  const { client } = scriptedHub(() => whole());
  const id = "owner/tiny";
  const nowhere = `${folder.path}/none/a.part`;
  const target = `${folder.path}/a.bin`;
  await assert.rejects(
    downloadFile(client, HASHED, { id, target, partial: nowhere }),
    (error: Error) => error.message.includes(nowhere),
  );
  await Deno.mkdir(target);
  await assert.rejects(
    downloadFile(client, HASHED, { id, target, partial: `${folder.path}/a.part` }),
    (error: Error) => error.message.includes(target),
  );
});

Deno.test("downloadFile() goes on from a partial file of several pieces", async () => {
  await using folder = await tempFolder();
  const bytes = Uint8Array.from({ length: 2 * 1024 * 1024 + 5 }, (_, i) => i % 253);
  const here = bytes.length - 2;
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const paths = { target: `${folder.path}/a.bin`, partial: `${folder.path}/a.part` };
  await Deno.writeFile(paths.partial, bytes.slice(0, here));
  const headers = { "content-range": `bytes ${here}-${bytes.length - 1}/${bytes.length}` };
  const { client, asked } = scriptedHub(() =>
    new Response(bytes.slice(here), { status: 206, headers })
  );
  const file = { ...FILE, size: bytes.length, sha256 };
  assert.equal(await downloadFile(client, file, { id: "owner/tiny", ...paths }), sha256);
  assert.deepEqual(asked.map(({ headers }) => headers.range), [`bytes=${here}-`]);
  assert.deepEqual(await Deno.readFile(paths.target), bytes);
});

Deno.test("digestFile() hashes as many bytes as are asked for, over pieces of 1 MiB", async () => {
  await using folder = await tempFolder();
  const bytes = Uint8Array.from({ length: 2 * 1024 * 1024 + 3 }, (_, i) => i % 251);
  const path = await folder.write("big", bytes);
  assert.deepEqual(await digestFile(path, bytes.length), {
    sha256: createHash("sha256").update(bytes).digest("hex"),
    git: createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
  });
  const stop = AbortSignal.abort(new Error("enough"));
  await assert.rejects(digestFile(path, bytes.length, stop), /enough/);
});

Deno.test("matches() takes the SHA-256 before git's checksum, and anything where there is neither", () => {
  const file = (sha256?: string, gitOid?: string): HubFile => ({ ...FILE, sha256, gitOid });
  for (
    const [each, expected] of [
      [file("a"), true],
      [file("x"), false],
      [file(undefined, "b"), true],
      [file(undefined, "x"), false],
      [file("a", "x"), true],
      [file("x", "b"), false],
      [file(), true],
    ] as const
  ) assert.equal(matches(each, "a", "b"), expected);
});
