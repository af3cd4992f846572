/**
 * A device that fails in spite of all that is asked first: the process ends with a sentence and an exit
 * code, never by a signal, and a run's last checkpoint is whole.
 */

import assert from "node:assert/strict";
import { quickstartFolder } from "../support/quickstart_folder.ts";
import { repositoryPath, runDeno, runScript } from "../support/run_script.ts";
import { runTask } from "../support/run_task.ts";
import { tempFolder } from "../support/temp_folder.ts";

const url = (path: string): string => `file://${repositoryPath(path)}`;

/** Lets an allocation through to the driver that no driver has room for. */
const TOO_MUCH = `
  const { MemoryBudget } = await import("${url("ort/runtime/memory_budget.ts")}");
  MemoryBudget.prototype.claim = () => {};
  const TOO_MUCH = 2 ** 44;
`;

const USES = `
  import { GraphBuilder } from "${url("ort/graph/builder.ts")}";
  import * as ops from "${url("ort/graph/ops.ts")}";
  import { writeOnnx } from "${url("ort/graph/onnx_writer.ts")}";
  import { parseDevice } from "${url("ort/runtime/device.ts")}";
  import { Runtime } from "${url("ort/runtime/runtime.ts")}";
  import { Session } from "${url("ort/runtime/session.ts")}";
  import { Tensor } from "${url("ort/runtime/tensor.ts")}";
  ${TOO_MUCH}
  const runtime = new Runtime({ threads: 1, device: parseDevice("webgpu") });
  const b = new GraphBuilder("double");
  const given = b.input("x", "float32", [4]);
  b.output("y", ops.add(b, given, given));
  const model = writeOnnx(b.build());
  const session = new Session(runtime, model);
  const x = Tensor.from(runtime, "float32", [4], Float32Array.of(1, 2, 3, 4));
  const y = Tensor.allocate(runtime, "float32", [4]);
  const binding = session.bind({ inputs: { x }, outputs: { y } });
  binding.run();
  const said = [];
  const attempt = (use) => { try { use(); said.push("nothing"); } catch (e) { said.push(e.message); } };
  attempt(() => Tensor.allocate(runtime, "float32", [TOO_MUCH]));
  attempt(() => Tensor.allocate(runtime, "float32", [4]));
  attempt(() => x.write(Float32Array.of(1, 2, 3, 4)));
  attempt(() => y.hostFloat32());
  attempt(() => y.copyFrom(x));
  attempt(() => binding.run());
  attempt(() => new Session(runtime, model));
  attempt(() => new Runtime({ threads: 1, device: parseDevice("webgpu") }));
  console.log(JSON.stringify(said));
  for (const each of [binding, x, y, session, runtime]) each[Symbol.dispose]();
  Deno.exit(1);
`;

Deno.test("after a failed allocation every use says so, and the process ends by itself, ten times", async () => {
  for (let i = 0; i < 10; i++) {
    const { code, stdout, stderr } = await runScript(USES, ["--allow-all"]);
    assert.equal(code, 1, stderr);
    const [first, ...later] = JSON.parse(stdout) as string[];
    assert.match(
      first,
      /^Cannot allocate a float32 tensor of shape \[17592186044416\] on webgpu: a tensor did not fit \(.*\); train/,
    );
    assert.equal(later.length, 7);
    for (const said of later) {
      assert.match(
        said,
        /^Cannot .*: the WebGPU device has failed and may not be used any more in this process: a tensor did not fit/,
      );
    }
  }
});

/** `deno task train`, whose first copy to the device after a checkpoint meets a device without memory. */
const TRAIN = `
  ${TOO_MUCH}
  const { WebGpu } = await import("${url("ort/runtime/webgpu.ts")}");
  const { upload } = WebGpu.prototype;
  WebGpu.prototype.upload = function (to, bytes) {
    let saved = true;
    try { Deno.statSync("output/run/checkpoint-1/trainer_state.json"); } catch { saved = false; }
    if (saved) this.allocate("float32", [TOO_MUCH], "allocate what no GPU has");
    upload.call(this, to, bytes);
  };
  await import("${url("cli/commands/train.ts")}");
`;

Deno.test("a run ends with exit code 1 and the sentence, and goes on from its last checkpoint", async () => {
  await using folder = await quickstartFolder();
  await using scripts = await tempFolder();
  const how = "--model models/tiny --max-length 256 --max-steps 3 --save-steps 1 " +
    "--logging-steps 1 --prediction-max-new-tokens 2 --device webgpu --output-dir output/run";
  const script = await scripts.write("train.ts", TRAIN);
  const fixed = [
    "--quiet",
    "--no-check",
    "--cached-only",
    `--config=${repositoryPath("deno.json")}`,
  ];
  const { code, stderr } = await runDeno(
    ["run", ...fixed, "--allow-all", script, ...how.split(" ")],
    folder.path,
  );
  assert.equal(code, 1, stderr);
  assert.match(stderr, /error: Cannot allocate what no GPU has on webgpu: a tensor did not fit/);
  // Steps are launched while a checkpoint is written, so that one more may have been saved by then.
  const names = [...Deno.readDirSync(`${folder.path}/output/run`)].map(({ name }) => name);
  const last = names.includes("checkpoint-2") ? 2 : 1;
  assert.ok(!names.includes("checkpoint-3"), names.join());
  const resumed = await runTask("train", folder.path, `${how} --resume-from-checkpoint`);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stderr, new RegExp(`resumed after step ${last}\\b`));
  assert.match(resumed.stderr, /completed at step 3\/3/);
});
