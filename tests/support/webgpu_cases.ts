/**
 * Programs that use the WebGPU device, each in a process of its own: what it ends with is one sentence that
 * helps and exit code 1, or nothing, and no signal ends it.
 *
 * In: cases by name. Out: a test for each.
 */

import assert from "node:assert/strict";
import { repositoryPath } from "./run_script.ts";
import type { TempFolder } from "./temp_folder.ts";

/** The address that a script imports a file of the repository by. */
export const moduleUrl = (path: string): string => `file://${repositoryPath(path)}`;

/** What every script begins with. */
const IMPORTS = `
  import { GraphBuilder } from "${moduleUrl("ort/graph/builder.ts")}";
  import * as ops from "${moduleUrl("ort/graph/ops.ts")}";
  import { writeOnnx } from "${moduleUrl("ort/graph/onnx_writer.ts")}";
  import { cpu, parseDevice } from "${moduleUrl("ort/runtime/device.ts")}";
  import { deviceLog } from "${moduleUrl("ort/runtime/device_log.ts")}";
  import { Runtime } from "${moduleUrl("ort/runtime/runtime.ts")}";
  import { Session } from "${moduleUrl("ort/runtime/session.ts")}";
  import { Tensor } from "${moduleUrl("ort/runtime/tensor.ts")}";
  import { preferredAdapter, vulkanAdapters } from "${moduleUrl("ort/runtime/vulkan.ts")}";
  import { appendWebGpuProvider } from "${moduleUrl("ort/runtime/webgpu_provider.ts")}";
  const device = parseDevice("webgpu");
  const open = (options = {}) => new Runtime({ threads: 1, device, ...options });
  const tensor = (runtime, ...values) =>
    Tensor.from(runtime, "float32", [values.length], Float32Array.from(values));
  /** Doubles a tensor on its device. */
  const double = (runtime, x) => {
    const b = new GraphBuilder("double");
    const given = b.input("x", "float32", x.shape);
    b.output("y", ops.add(b, given, given));
    const y = Tensor.allocate(runtime, "float32", x.shape);
    using session = new Session(runtime, writeOnnx(b.build()));
    session.run({ inputs: { x }, outputs: { y } });
    return [...y.hostFloat32()];
  };
  /** Tells the device's log what a driver would. */
  const log = (message) => {
    const text = new TextEncoder().encode(message + "\\0");
    const parameters = ["pointer", "i32", "pointer", "pointer", "pointer", "buffer"];
    new Deno.UnsafeFnPointer(deviceLog().pointer, { parameters, result: "void" })
      .call(null, 3, null, null, null, text);
  };
  const engine = async (runtime) => {
    const { TrainingEngine } = await import("${moduleUrl("model/engine/training_engine.ts")}");
    const { sequenceGrid } = await import("${moduleUrl("model/engine/batch.ts")}");
    const { emptyStore, tinyConfig } = await import("${moduleUrl("tests/support/tiny_model.ts")}");
    const config = tinyConfig();
    const [weights, gradients] = [emptyStore(runtime, config), emptyStore(runtime, config)];
    return { engine: new TrainingEngine(runtime, config, weights, gradients), sequenceGrid, config };
  };
  const train = async (runtime, change) => {
    const { engine: made, sequenceGrid, config } = await engine(runtime);
    const batch = sequenceGrid([1, 2, 3, 4]);
    change(batch, config);
    await made.forwardBackward(batch, { scale: 1, first: true });
  };
`;

/** One program. */
export interface WebGpuCase {
  /** Statements, which have what {@linkcode IMPORTS} imports and declares. */
  readonly script: string;
  /** The sentence that the process ends with; none where it ends well. */
  readonly says?: RegExp;
  readonly env?: Readonly<Record<string, string>>;
  /** Variables that the process does not have. */
  readonly without?: readonly string[];
  /** @default all */
  readonly permissions?: readonly string[];
  /** Shell commands before it. */
  readonly setup?: string;
  /** Whether `setup` mounts something for the process alone. */
  readonly mounts?: boolean;
  /** Why it cannot be tried here. */
  readonly skipped?: string;
}

const RUN = [
  "run",
  "--quiet",
  "--no-prompt",
  "--no-check",
  "--cached-only",
  `--config=${repositoryPath("deno.json")}`,
];

async function run(name: string, given: WebGpuCase, folder: TempFolder): Promise<void> {
  const { script, says, env = {}, without = [], permissions = ["--allow-all"] } = given;
  const file = await folder.write(
    `${name.replaceAll(/\W+/g, "_")}.ts`,
    `${IMPORTS}
try { ${script} } catch (e) { console.error("\\n" + e.message); Deno.exit(1); }`,
  );
  const setup = given.setup ?? ":";
  const command = [Deno.execPath(), ...RUN, ...permissions, file];
  const [program, ...args] = [
    ...given.mounts ? ["unshare", "--mount"] : [],
    ...["sh", "-c", `${setup} && exec "$@"`, "sh", ...command],
  ];
  const variables = { ...Deno.env.toObject(), NO_COLOR: "1", ...env };
  const { code, signal, stderr } = await new Deno.Command(program, {
    args,
    clearEnv: true,
    env: Object.fromEntries(Object.entries(variables).filter(([key]) => !without.includes(key))),
    stdin: "null",
    stdout: "null",
  }).output();
  const told = new TextDecoder().decode(stderr);
  assert.equal(signal, null, told);
  assert.equal(code, says ? 1 : 0, told);
  if (!says) return;
  const said = told.split("\n").filter((line) => line.startsWith("Cannot"));
  assert.ok(said.some((line) => says.test(line)), told);
}

/** Registers a test for each case; scripts go into the folder. */
export function testWebGpuCases(
  cases: Readonly<Record<string, WebGpuCase>>,
  folder: TempFolder,
): void {
  for (const [name, given] of Object.entries(cases)) {
    Deno.test({
      name: `${name}: ${given.says ? "an error that helps" : "it works"}` +
        (given.skipped ? `; skipped: ${given.skipped}` : ""),
      ignore: given.skipped !== undefined,
      fn: () => run(name, given, folder),
    });
  }
}
