/** Refuses a file that rows cannot be read of, by the name of its format and with its conversion. */

import { binaryKind, textKind } from "./file_kind.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";

const ROW_FILES = "JSON Lines, a JSON array, CSV, TSV or Parquet";

/** Refuses a file by its first bytes. */
export function assertRowFile(head: Uint8Array, file: string): void {
  const kind = binaryKind(head);
  if (kind) throw otherFormat(file, kind);
}

/** Refuses a file whose first line shows that it is something else. */
export function assertJsonLines(
  text: string,
  { where: { file }, first }: { readonly where: RowLocation; readonly first: boolean },
): void {
  const kind = first ? textKind(text) : undefined;
  if (kind) throw otherFormat(file, kind);
}

function otherFormat(file: string, kind: string): JsonlError {
  // A path that a shell would take apart is for the user to put in.
  const path = /^[\w./-]+$/.test(file) ? file : "FILE";
  return new JsonlError({ file }, `expected ${ROW_FILES}, got ${kind.replaceAll("FILE", path)}`);
}
