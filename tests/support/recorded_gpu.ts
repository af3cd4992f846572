/** A device without a device. In: launches of kernels' wrappers. Out: a line for each. */

import assert from "node:assert/strict";
import type { LaunchOptions, ParameterType } from "../../ort/kernels/driver.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import type { KernelSource } from "../../ort/kernels/nvrtc.ts";

/** The stream that kernels are to be launched on. */
export const STREAM = 0x5000n;
const LETTERS: Readonly<Record<ParameterType, string>> = {
  pointer: "p",
  i64: "l",
  i32: "i",
  u32: "u",
  f32: "f",
  f64: "d",
};

/** A device that writes launches down: source, kernel and types, grid, block, shared memory, values; and what is loaded. */
export function recordedGpu(): { gpu: Gpu; take(): string[]; sources(): string[] } {
  const lines: string[] = [];
  const sources: string[] = [];
  const gpu = {
    load: ({ name: source }: KernelSource) => {
      sources.push(source);
      return Promise.resolve({
        kernel: (name: string, types: readonly ParameterType[]) => ({
          launch({ stream, grid, block, sharedBytes }: LaunchOptions, values: readonly unknown[]) {
            assert.equal(stream, STREAM);
            assert.equal(values.length, types.length);
            values.forEach((value, i) =>
              assert.equal(typeof value, types[i] === "pointer" ? "bigint" : "number")
            );
            const shared = sharedBytes ? ` shared ${sharedBytes}` : "";
            lines.push(
              `${source}.${name} ${
                types.map((type) => LETTERS[type]).join("")
              } [${grid}] x ${block}${shared}: ` +
                values.join(" "),
            );
          },
        }),
      });
    },
  };
  return { gpu: gpu as unknown as Gpu, take: () => lines.splice(0), sources: () => sources };
}
