/**
 * Finds the ONNX Runtime shared library that npm's onnxruntime-node ships, with or without a
 * node_modules folder, on Linux, macOS and Windows.
 *
 * In: an optional path that overrides it. Out: a path for `Deno.dlopen`.
 *
 * @module
 */

import { findPackageJSON } from "node:module";
import packageJson from "onnxruntime-node/package.json" with { type: "json" };

/** A platform as Deno names it. */
export interface Platform {
  /** As `Deno.build.os`. */
  readonly os: string;
  /** As `Deno.build.arch`. */
  readonly arch: string;
}

// Folder of the package's binaries, from its own loader (onnxruntime-node 1.23 and newer).
const BINARIES = "bin/napi-v6";

// Read off the package's contents: the versioned names that the loader of each system resolves.
const LIBRARIES: Readonly<Record<string, string>> = {
  "linux-x86_64": "linux/x64/libonnxruntime.so.1",
  "linux-aarch64": "linux/arm64/libonnxruntime.so.1",
  "darwin-aarch64": "darwin/arm64/libonnxruntime.1.dylib",
  "windows-x86_64": "win32/x64/onnxruntime.dll",
  "windows-aarch64": "win32/arm64/onnxruntime.dll",
};

/**
 * The library's path relative to the package's root.
 *
 * @example
 * ```ts
 * import { libraryFile } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * assert.equal(
 *   libraryFile({ os: "linux", arch: "x86_64" }),
 *   "bin/napi-v6/linux/x64/libonnxruntime.so.1",
 * );
 * ```
 *
 * @throws {Error} on a platform that the package has no library for
 */
export function libraryFile({ os, arch }: Platform): string {
  const file = LIBRARIES[`${os}-${arch}`];
  if (file) return `${BINARIES}/${file}`;
  throw new Error(
    `Cannot find ONNX Runtime for ${os}-${arch}: onnxruntime-node ${packageJson.version} ships ` +
      `${Object.keys(LIBRARIES).join(", ")}; set ORTUNE_ORT_LIB to a build of your own`,
  );
}

/**
 * The path of the library to open.
 *
 * @param override a path that wins over the package's library (scripts pass ORTUNE_ORT_LIB)
 * @throws {Error} where the package is not installed or has no library for this platform
 */
export function findLibrary(override?: string): string {
  if (override) return override;
  return packageRoot().replace(/package\.json$/, "") + libraryFile(Deno.build);
}

function packageRoot(): string {
  let cause: unknown;
  try {
    const root = findPackageJSON("onnxruntime-node", import.meta.url);
    if (root) return root;
  } catch (error) {
    cause = error; // as in a bundle that lies outside of any project
  }
  throw new Error(
    "Cannot find the npm package onnxruntime-node: run `deno install`, " +
      "or set ORTUNE_ORT_LIB to the path of libonnxruntime",
    { cause },
  );
}
