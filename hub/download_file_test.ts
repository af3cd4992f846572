import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { recordFiles } from "../tests/support/record_files.ts";
import { type TempFolder, tempFolder } from "../tests/support/temp_folder.ts";
import { downloadFile } from "./download_file.ts";
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
  const asked: Asked[] = [];
  const left = [...answers];
  const client = {
    source: "huggingface" as const,
    endpoint: "https://hub.example",
    token: undefined,
    fetch: (_: unknown, init?: RequestInit): Promise<Response> => {
      const headers = new Headers(init?.headers);
      asked.push({ range: headers.get("range"), ifRange: headers.get("if-range") });
      return Promise.resolve(left.shift()!);
    },
    signal: undefined,
    stallMilliseconds: 1000,
    sleep: () => Promise.resolve(),
    random: () => 0.5,
  };
  const paths = { target: `${folder.path}/a.bin`, partial: `${folder.path}/a.part` };
  await downloadFile(client, file, { id: "owner/tiny", ...paths });
  assert.deepEqual(await Deno.readFile(paths.target), BYTES);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name).sort(), ["a.bin"]);
  return asked;
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
