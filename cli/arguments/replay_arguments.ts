/**
 * A run.json as flags, and how the world differs from it. In: a manifest. Out: flags that parse to
 * the same arguments; files and versions that are not as they were.
 */

import { hashFile } from "../../train/checkpoints/checkpoint.ts";
import { argumentValues } from "./argument_values.ts";
import { recordedLoraFlags } from "./recorded_lora.ts";
import type { HashedFile, RunManifest } from "../../train/runs/run_manifest.ts";

/** Whether the run trained an adapter. */
export function trainsAdapter({ arguments: args }: Pick<RunManifest, "arguments">): boolean {
  return args.lora !== undefined && args.lora !== null;
}

/** Arguments whose flag is given once for each of several paths. */
const PATHS: ReadonlySet<string> = new Set(["trainFile", "validationFile"]);

/** Where a manifest lies, and what is to be otherwise. */
export interface ReplayOptions {
  /** The manifest's path, for errors. */
  readonly path: string;
  /** The folder of the new run. @default as the first */
  readonly outputDir?: string;
}

/**
 * Flags of deno task train or train:lora, so that what a file says is checked as what a user types.
 *
 * @throws {UsageError} where the adapter's settings are not what flags say
 * @throws {Error} where an argument is of a kind that no flag has
 */
export function replayFlags(
  { arguments: args }: Pick<RunManifest, "arguments">,
  { path, outputDir }: ReplayOptions,
): string[] {
  const flags: string[] = [];
  const all = argumentValues(
    { ...args, ...outputDir === undefined ? {} : { outputDir } },
    recordedLoraFlags(args.lora, path),
  );
  for (const [name, value] of Object.entries(all)) {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (value === true) {
      // On unless turned off.
      if (name !== "gradientCheckpointing") flags.push(`--${flag}`);
    } else if (value === false) {
      if (name === "gradientCheckpointing") flags.push(`--no-${flag}`);
    } else if (typeof value === "string" || typeof value === "number") {
      flags.push(`--${flag}=${value}`);
    } else if (Array.isArray(value) && PATHS.has(name)) {
      for (const each of value) flags.push(`--${flag}=${each}`);
    } else if (Array.isArray(value)) {
      flags.push(`--${flag}=${value.join() || "none"}`);
    } else {
      throw new Error(`Cannot replay this run: argument ${name} is neither text, number nor list`);
    }
  }
  return flags;
}

/** Files that are missing or are not what they were, a line each. */
export async function changedFiles(files: readonly HashedFile[]): Promise<string[]> {
  const changes: string[] = [];
  for (const { path, bytes, sha256 } of files) {
    try {
      const now = await hashFile(path);
      if (now.bytes !== bytes) changes.push(`${path} has ${now.bytes} bytes, not ${bytes}`);
      else if (now.sha256 !== sha256) changes.push(`${path} has another sha256`);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      changes.push(`${path} is missing`);
    }
  }
  return changes;
}

/** Versions that differ, a line each; with any, results may differ in the last bits. */
export function changedVersions(
  then: RunManifest["versions"],
  now: RunManifest["versions"],
): string[] {
  return Object.keys({ ...then, ...now }).filter((name) => then[name] !== now[name])
    .map((name) => `${name}: ${then[name] ?? "not set"} then, ${now[name] ?? "not set"} now`);
}
