/**
 * What format a file of rows has.
 *
 * In: its first bytes, and its name where they leave it open. Out: the format, how it is packed, and
 * whether its name says otherwise.
 */

import { assertJsonLines, assertRowFile } from "./assert_row_file.ts";
import { JsonlError, type RowUnit } from "./jsonl_error.ts";

/** How a file of text is packed. */
export type Compression = "gzip" | "zstd";

/** What a file of rows is. */
export type RowFormat =
  | { readonly kind: "jsonl" | "json" | "parquet" }
  | {
    readonly kind: "csv";
    /** What stands between two cells. */
    readonly delimiter: string;
  };

const NAMES: Readonly<Record<RowFormat["kind"], string>> = {
  jsonl: "JSON Lines",
  json: "a JSON array",
  csv: "CSV",
  parquet: "Parquet",
};
const EXTENSIONS: Readonly<Record<string, readonly RowFormat["kind"][]>> = {
  jsonl: ["jsonl"],
  ndjson: ["jsonl"],
  // Hugging Face's data sets have both under this name.
  json: ["json", "jsonl"],
  csv: ["csv"],
  tsv: ["csv"],
  tab: ["csv"],
  parquet: ["parquet"],
  pq: ["parquet"],
};
const PACKED: Readonly<Record<string, Compression>> = { gz: "gzip", gzip: "gzip", zst: "zstd" };
/** A row of names, without a brace or a colon as JSON has them; a name may be missing. */
const HEADER = /^"?[\p{L}\p{N}_ .-]*"?(?:[,;\t|]"?[\p{L}\p{N}_ .-]*"?)+$/u;
const DELIMITERS = [",", "\t", ";", "|"];
const LINE_BREAK = /\r?\n|\r/;

/** Endings of files that rows are read of, without their dot; `.gz` and `.zst` may follow. */
export const ROW_EXTENSIONS: readonly string[] = Object.keys(EXTENSIONS);

/** What a file's name says: its ending, and how it is packed. */
export function readFileName(
  path: string,
): { readonly extension?: string; readonly compression?: Compression } {
  const parts = path.toLowerCase().split(/[/\\]/).at(-1)!.split(".");
  const compression = Object.hasOwn(PACKED, parts.at(-1)!) ? PACKED[parts.pop()!] : undefined;
  const extension = parts.length > 1 ? parts.at(-1) : undefined;
  return { extension, compression };
}

/** How a file is packed, from its first bytes. */
export function readCompression(head: Uint8Array): Compression | undefined {
  const starts = (...bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte);
  if (starts(0x1f, 0x8b)) return "gzip";
  if (starts(0x28, 0xb5, 0x2f, 0xfd)) return "zstd";
}

/**
 * Recognises a format by its content.
 *
 * @param head the first bytes, unpacked; a whole line of them where there is one
 * @throws {JsonlError} where it is a format that is not read
 */
export function recognizeFormat(
  head: Uint8Array,
  { path, compression }: { readonly path: string; readonly compression?: Compression },
): RowFormat {
  assertRowFile(head, path);
  if (new TextDecoder("latin1").decode(head.subarray(0, 4)) === "PAR1") {
    if (compression === undefined) return { kind: "parquet" };
    throw new JsonlError(
      { file: path },
      `expected text in a ${compression} file, got Parquet, which is packed by itself; unpack it first`,
    );
  }
  const text = new TextDecoder().decode(head);
  const first = text.split(LINE_BREAK).find((line) => line.trim() !== "")?.trimStart() ?? "";
  if (first.startsWith("[")) return { kind: "json" };
  const { extension } = readFileName(path);
  const named = extension === undefined ? undefined : EXTENSIONS[extension];
  const isTable = named?.includes("csv") && !/^\{\s*"/.test(first) || HEADER.test(first);
  if (isTable && first !== "") {
    return { kind: "csv", delimiter: findDelimiter(first, extension) };
  }
  assertJsonLines(first, { where: { file: path, line: 1 }, first: true });
  return { kind: "jsonl" };
}

/** What rows of a format are counted in. */
export function unitOf({ kind }: RowFormat): RowUnit {
  return kind === "json" || kind === "parquet" ? "row" : "line";
}

/** A format in words. */
export function describeFormat(format: RowFormat): string {
  if (format.kind !== "csv") return NAMES[format.kind];
  const { delimiter } = format;
  return delimiter === "\t" ? "CSV with tabs between cells" : `CSV with ${delimiter} between cells`;
}

/** What a name says other than the content, as the rest of a sentence; nothing where they agree. */
export function nameContradiction(
  path: string,
  { format, compression }: { readonly format: RowFormat; readonly compression?: Compression },
): string | undefined {
  const named = readFileName(path);
  const packing = named.compression === compression
    ? undefined
    : named.compression === undefined
    ? `is packed by ${compression}`
    : `is not packed by ${named.compression}`;
  const kinds = named.extension === undefined ? undefined : EXTENSIONS[named.extension];
  const kind = kinds === undefined || kinds.includes(format.kind)
    ? undefined
    : `is ${describeFormat(format)}`;
  const said = [packing, kind].filter((each) => each !== undefined);
  return said.length === 0 ? undefined : `${said.join(" and ")}, which its name does not say`;
}

/** What stands between the names: what stands there most often, outside of quotes. */
function findDelimiter(header: string, extension: string | undefined): string {
  const bare = header.replace(/"(?:[^"]|"")*"/g, "");
  const counts = DELIMITERS.map((each) => bare.split(each).length - 1);
  const most = Math.max(...counts);
  if (most === 0) return extension === "tsv" || extension === "tab" ? "\t" : ",";
  return DELIMITERS[counts.indexOf(most)];
}
