import assert from "node:assert/strict";
import { productsModel } from "../tests/support/onnx_models.ts";
import { repositoryPath, runScript } from "../tests/support/run_script.ts";
import { Runtime } from "./runtime.ts";
import { Session } from "./session.ts";
import { Tensor } from "./tensor.ts";

const runtime = new Runtime({ threads: 2 });

Deno.test("a runtime knows its release and its threads", () => {
  assert.match(runtime.api.version, /^1\.\d+\.\d+$/);
  assert.equal(runtime.threads, 2);
});

Deno.test("a runtime refuses a thread count that is none", () => {
  for (const threads of [0, -1, 1.5, NaN]) {
    assert.throws(() => new Runtime({ threads }), {
      name: "RangeError",
      message: `Cannot open ONNX Runtime with ${threads} threads: expected 1 or more`,
    });
  }
});

Deno.test("a second runtime in the process works, and disposing of it twice is harmless", () => {
  const second = new Runtime({ threads: 2 });
  using tensor = Tensor.from(second, "float32", [1], Float32Array.of(3));
  assert.equal(tensor.float32()[0], 3);
  second[Symbol.dispose]();
  second[Symbol.dispose]();
  using another = Tensor.from(runtime, "float32", [1], Float32Array.of(4));
  assert.equal(another.float32()[0], 4);
});

// Enough rows that both threads of the pool get some.
const N = 512;
const DENORMAL = 1e-39;

Deno.test("denormal inputs count as zero, in the pool's threads too", () => {
  using session = new Session(runtime, productsModel());
  using x = Tensor.allocate(runtime, "float32", [N, N]);
  using w = Tensor.allocate(runtime, "float32", [N, N]);
  using scaled = Tensor.allocate(runtime, "float32", [N, N]);
  using product = Tensor.allocate(runtime, "float32", [N, N]);
  const run = (): void => session.run({ inputs: { x, w }, outputs: { scaled, product } });
  // 2^60: without flushing, all results would be normal numbers of about 1e-21.
  w.float32().fill(2 ** 60);
  x.float32().fill(2 ** -60);
  run();
  assert.ok(scaled.float32().every((value) => value === 1), "normal numbers are multiplied");
  assert.ok(product.float32().every((value) => value === N));
  new Uint32Array(x.bytes().buffer).fill(new Uint32Array(Float32Array.of(DENORMAL).buffer)[0]);
  run();
  assert.ok(scaled.float32().every((value) => value === 0), "Mul flushes denormals");
  assert.ok(product.float32().every((value) => value === 0), "Gemm flushes denormals");
  assert.ok(runtime.flushesDenormals, "so does this thread");
});

Deno.test("a thread without a session does not flush: the flag is what makes the difference", async () => {
  const script = `
    import { Runtime } from "${repositoryPath("ort/runtime.ts")}";
    import { Session } from "${repositoryPath("ort/session.ts")}";
    import { productsModel } from "${repositoryPath("tests/support/onnx_models.ts")}";
    const runtime = new Runtime({ threads: 1 });
    const before = runtime.flushesDenormals;
    new Session(runtime, productsModel());
    console.log(before, runtime.flushesDenormals);
  `;
  const { stdout, stderr } = await runScript(script, ["--allow-ffi"]);
  assert.equal(stdout, "false true", stderr);
});
