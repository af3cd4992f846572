/**
 * Lets ONNX Runtime's threads sleep between graphs, in a process that is run with `--preload` of this module. By
 * themselves they turn in a loop until the next graph comes, which takes the processor from other processes: two
 * thirds more processor time for a small model's updates with two threads. What is computed is the same.
 */

import { OrtApi } from "../../ort/runtime/api.ts";

const { call } = OrtApi.prototype;
OrtApi.prototype.call = function (this: OrtApi, name, what, ...args): void {
  call.call(this, name, what, ...args);
  if (name !== "SetGlobalIntraOpNumThreads") return;
  call.call(this, "SetGlobalSpinControl", "let idle threads sleep", args[0], 0);
};
