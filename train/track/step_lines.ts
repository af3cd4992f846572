/**
 * Files of JSON lines with a step each, when a run starts or goes on.
 *
 * In: a path. Out: the file as the run is to find it.
 */

import { readFile, rename, stat, writeFile } from "node:fs/promises";
import { isAbsent } from "../../internal/regular_file.ts";

/** A million lines of 200 bytes fit; a file beyond is hardly ours, and would not fit one string. */
const MAX_RESUMED_BYTES = 256 * 1024 * 1024;

/** Moves the file of an earlier run to `<path>.previous`; an empty one, or none, stays. */
export async function setAside(path: string): Promise<void> {
  const size = await sizeOf(path);
  if (size !== undefined && size > 0) await rename(path, `${path}.previous`);
}

/**
 * Rewrites the file with the lines of steps up to `step`, whole or not at all; without those of
 * later steps and a last line cut short.
 *
 * @throws {RangeError} if the file is over 256 MiB.
 */
export async function keepUntil(path: string, step: number): Promise<void> {
  const size = await sizeOf(path);
  if (size === undefined) return;
  if (size > MAX_RESUMED_BYTES) {
    throw new RangeError(
      `Cannot resume ${path}: ${size} bytes exceed ${MAX_RESUMED_BYTES}; move the file away`,
    );
  }
  const lines = (await readFile(path, "utf8")).split("\n");
  const kept = lines.filter((line) => {
    const at = stepOf(line);
    return at !== undefined && at <= step;
  });
  const temporary = `${path}.tmp`;
  await writeFile(temporary, kept.map((line) => `${line}\n`).join(""));
  await rename(temporary, path);
}

/** The step of a line; `undefined` for one that is blank, cut short or not ours. */
function stepOf(line: string): number | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || !("step" in value)) return undefined;
    return typeof value.step === "number" ? value.step : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes of a file; `undefined` if there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
