import assert from "node:assert/strict";
import { repositoryPath, runScript } from "../../tests/support/run_script.ts";
import { Runtime } from "./runtime.ts";
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

const imports = `
  import { Runtime } from "${repositoryPath("ort/runtime/runtime.ts")}";
  import { Session } from "${repositoryPath("ort/runtime/session.ts")}";
  import { Tensor } from "${repositoryPath("ort/runtime/tensor.ts")}";
  import { productsModel } from "${repositoryPath("tests/support/onnx_models.ts")}";
`;

// In a process of its own, for only the thread of a process's first session is made to flush, and
// test files run in threads of one process. The matrices are large enough that both threads of the
// pool get a part; the denormal is given as bits, since a thread that flushes denormals cannot
// even write it down. Times 2^60, one that is not flushed would be a normal number of about 1e-21.
const MULTIPLY_DENORMALS = `${imports}
  const runtime = new Runtime({ threads: 2 });
  const session = new Session(runtime, productsModel());
  const matrix = () => Tensor.allocate(runtime, "float32", [1024, 1024]);
  const [x, w, scaled, product] = [matrix(), matrix(), matrix(), matrix()];
  w.float32().fill(2 ** 60);
  const run = () => {
    session.run({ inputs: { x, w }, outputs: { scaled, product } });
    console.log([scaled, product].map((y) => [...new Set(y.float32())].join(" ")).join(", "));
  };
  x.float32().fill(2 ** -60);
  run();
  new Uint32Array(x.bytes().buffer).fill(700_000);
  run();
  console.log(runtime.flushesDenormals);
`;

Deno.test("denormal inputs count as zero, in this thread and in the pool's", async () => {
  const { stdout, stderr } = await runScript(MULTIPLY_DENORMALS, ["--allow-ffi"]);
  assert.deepEqual(stdout.split("\n"), ["1, 1024", "0, 0", "true"], stderr);
});

Deno.test("it is the first session that makes a thread flush denormals", async () => {
  const script = `${imports}
    const runtime = new Runtime({ threads: 2 });
    const before = runtime.flushesDenormals;
    new Session(runtime, productsModel());
    console.log(before, runtime.flushesDenormals);
  `;
  const { stdout, stderr } = await runScript(script, ["--allow-ffi"]);
  assert.equal(stdout, "false true", stderr);
});
