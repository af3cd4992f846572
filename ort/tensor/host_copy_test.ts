import assert from "node:assert/strict";
import { hostCopy } from "./host_copy.ts";
import { readAll, type TensorData, tensorSourceFromMap } from "./tensor_source.ts";

const tensors = () =>
  new Map<string, TensorData>([
    ["b", { dtype: "uint8", shape: [2, 2], data: Uint8Array.of(1, 2, 3, 4) }],
    ["a", { dtype: "float32", shape: [], data: new Uint8Array(4) }],
    ["none", { dtype: "bool", shape: [0], data: new Uint8Array(0) }],
  ]);

Deno.test("hostCopy() has the names, infos and bytes of its source at the last fill", async () => {
  const originals = tensors();
  const source = tensorSourceFromMap(originals);
  const copy = hostCopy(source);
  assert.deepEqual(copy.names(), ["b", "a", "none"]);
  for (const name of copy.names()) assert.deepEqual(copy.info(name), source.info(name));
  await copy.fill();
  originals.get("b")!.data[3] = 9;
  assert.deepEqual([...await readAll(copy, "b")], [1, 2, 3, 4]);
  const part = new Uint8Array(2);
  await copy.read("b", part, 1);
  assert.deepEqual([...part], [2, 3]);
  await copy.fill();
  assert.deepEqual([...await readAll(copy, "b")], [1, 2, 3, 9]);
});

Deno.test("fill() lets timers fire between two tensors", async () => {
  const copy = hostCopy(tensorSourceFromMap(tensors()));
  let fired = false;
  setTimeout(() => fired = true, 0);
  const began = performance.now();
  while (performance.now() - began < 2);
  await copy.fill();
  assert.ok(fired);
});

Deno.test("hostCopy() says how much memory it could not have", () => {
  const source = {
    ...tensorSourceFromMap(new Map()),
    names: () => ["a", "b"],
    info: () => ({ dtype: "bfloat16", shape: [2 ** 50] }) as const,
  };
  assert.throws(() => hostCopy(source), {
    name: "Error",
    message:
      /^Cannot copy 4503599627370496 bytes of tensors to the host's memory: .+\. Free memory$/,
  });
});
