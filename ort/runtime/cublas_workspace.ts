/**
 * How much memory cuBLAS holds beside a model: each handle has a workspace of its own, and ONNX Runtime makes
 * a handle a session.
 *
 * https://docs.nvidia.com/cuda/cublas/#cublassetworkspace
 */

import { cString } from "./api.ts";

// Pairs of KiB and how many of that. The default on Hopper is one buffer of 32 MiB, which two dozen sessions
// hold two dozen times, while what runs one after the other on one stream needs only one at a time.
const CONFIG = ":4096:2:16:8";
const VARIABLE = "CUBLAS_WORKSPACE_CONFIG";

/**
 * Bytes of one handle's workspace under {@linkcode limitCublasWorkspace}. From NVIDIA's documentation: that a
 * handle takes no more was not measured.
 */
export const CUBLAS_WORKSPACE_BYTES: number = (2 * 4096 + 8 * 16) * 1024;

/**
 * Sets CUBLAS_WORKSPACE_CONFIG for this process, unless it is set: before the provider makes a handle, which
 * reads it then. By libc, as that is where cuBLAS reads it, and so that no permission besides FFI is needed.
 */
export function limitCublasWorkspace(): void {
  const libc = openLibc();
  if (!libc) return;
  const keep = 0;
  libc.symbols.setenv(cString(VARIABLE), cString(CONFIG), keep);
  libc.close();
}

function openLibc() {
  try {
    return Deno.dlopen("libc.so.6", {
      setenv: { parameters: ["buffer", "buffer", "i32"], result: "i32" },
    });
  } catch {
    // Not glibc: then handles have the default's size.
    return undefined;
  }
}
