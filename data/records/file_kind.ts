/**
 * What a file is that is no file of rows.
 *
 * In: its first bytes, or its first line. Out: the name of the format and how to convert it, with
 * FILE for the file's path, or nothing where rows may be read of it.
 */

/** A format that files begin with. */
interface Magic {
  readonly bytes: readonly number[];
  /** Where the bytes stand. @default {0} */
  readonly at?: number;
  readonly kind: string;
}

const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];

const PANDAS = (reader: string): string =>
  `convert it: python -c "import pandas as pd; pd.${reader}('FILE').to_json('converted.jsonl', ` +
  `orient='records', lines=True, force_ascii=False)"`;
const UNPACK = "unpack it first";

const MAGIC: readonly Magic[] = [
  {
    bytes: ascii("PARE"),
    kind: "an encrypted Parquet file; write it again without encryption",
  },
  { bytes: ascii("ARROW1"), kind: `an Arrow file; ${PANDAS("read_feather")}` },
  { bytes: ascii("BZh"), kind: `a bzip2 file; ${UNPACK}` },
  { bytes: [0xfd, ...ascii("7zXZ")], kind: `an xz file; ${UNPACK}` },
  {
    bytes: ascii("PK\x03\x04"),
    kind: `a zip file, or a workbook (xlsx); ${UNPACK}, or save it as JSON Lines`,
  },
  { bytes: [...ascii("7z"), 0xbc, 0xaf], kind: `a 7z file; ${UNPACK}` },
  { bytes: ascii("ustar"), at: 257, kind: `a tar file; ${UNPACK}` },
  { bytes: ascii("SQLite format 3"), kind: "an SQLite database; export its table as JSON Lines" },
  { bytes: ascii("%PDF-"), kind: "a PDF; write its questions and answers as JSON Lines" },
  { bytes: [0x93, ...ascii("NUMPY")], kind: "a NumPy file; write its rows as JSON Lines" },
  { bytes: ascii("Obj\x01"), kind: "an Avro file; convert it to JSON Lines" },
  { bytes: ascii("ORC"), kind: `an ORC file; ${PANDAS("read_orc")}` },
  // The protocol follows; no UTF-8 begins with 0x80.
  ...[2, 3, 4, 5].map((protocol) => ({
    bytes: [0x80, protocol],
    kind: "a Python pickle; write its rows as JSON Lines",
  })),
  {
    bytes: ascii("version https://git-lfs"),
    kind: "a Git LFS pointer, not the file; fetch it: git lfs pull",
  },
];

/** The format of a file that is no text and not read, from its first bytes. */
export function binaryKind(head: Uint8Array): string | undefined {
  return MAGIC.find(({ bytes, at = 0 }) => bytes.every((byte, i) => head[at + i] === byte))?.kind;
}

/** The format of a text file that is not read, from its first line that is not blank. */
export function textKind(line: string): string | undefined {
  const text = line.trim();
  if (text === "{") {
    return "JSON over several lines; write one object a line: jq -c . FILE > converted.jsonl";
  }
  if (text.startsWith("---")) return "YAML; convert it to JSON Lines";
  if (/^<(?:!DOCTYPE|html|\?xml)/i.test(text)) {
    return "an HTML or XML page, not data; download the file itself";
  }
}
