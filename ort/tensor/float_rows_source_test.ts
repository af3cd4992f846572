import assert from "node:assert/strict";
import { floatRowsSource } from "./float_rows_source.ts";
import { tensorSourceFromMap } from "./tensor_source.ts";

/** Numbers 0 to 14 in five rows of three, computed as ten times that; and halves that are read. */
function source() {
  const asked: (readonly [string, number, number])[] = [];
  const data = (values: ArrayBufferView<ArrayBuffer>) => new Uint8Array(values.buffer);
  const base = tensorSourceFromMap(
    new Map([
      ["coded", { dtype: "uint8", shape: [5, 3], data: new Uint8Array(15) } as const],
      ["half", {
        dtype: "float16",
        shape: [7],
        data: data(Float16Array.from([0, 1, 2, 3, 4, 5, 6])),
      }],
    ]),
  );
  return {
    asked,
    floats: floatRowsSource(base, {
      computes: (name) => name === "coded",
      rows: (name, first, count) => {
        asked.push([name, first, count]);
        const all = Float32Array.from({ length: 15 }, (_, i) => 10 * i);
        // From the middle of a larger buffer.
        return Promise.resolve(all.subarray(3 * first, 3 * (first + count)));
      },
    }),
  };
}

Deno.test("floatRowsSource() has the names and shapes of its base, in float32", () => {
  const { floats } = source();
  assert.deepEqual(floats.names(), ["coded", "half"]);
  assert.deepEqual(floats.info("coded"), { dtype: "float32", shape: [5, 3] });
  assert.deepEqual(floats.info("half"), { dtype: "float32", shape: [7] });
});

Deno.test("floatRowsSource() reads any bytes, of the rows that they are of", async () => {
  const bytesOf = (values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
  const whole = {
    coded: bytesOf(Array.from({ length: 15 }, (_, i) => 10 * i)),
    half: bytesOf([0, 1, 2, 3, 4, 5, 6]),
  };
  for (
    const [name, offset, length, rows] of [
      ["coded", 0, 60, [0, 5]],
      ["coded", 0, 12, [0, 1]],
      ["coded", 12, 12, [1, 1]],
      ["coded", 24, 36, [2, 3]],
      ["coded", 11, 2, [0, 2]],
      ["coded", 13, 10, [1, 1]],
      ["coded", 13, 12, [1, 2]],
      ["coded", 59, 1, [4, 1]],
      ["coded", 48, 0, [4, 0]],
      ["half", 0, 28, undefined],
      ["half", 5, 9, undefined],
      ["half", 27, 1, undefined],
    ] as const
  ) {
    const { floats, asked } = source();
    const into = new Uint8Array(length);
    await floats.read(name, into, offset);
    assert.deepEqual(into, whole[name].slice(offset, offset + length), `${name} from ${offset}`);
    assert.deepEqual(asked, rows === undefined ? [] : [[name, ...rows]]);
  }
  const { floats } = source();
  const into = new Uint8Array(8);
  await floats.read("half", into);
  assert.deepEqual(into, whole.half.slice(0, 8));
  for (const [name, length] of [["coded", 60], ["half", 28]] as const) {
    await assert.rejects(floats.read(name, new Uint8Array(1), length), {
      message:
        `Cannot read 1 bytes of tensor "${name}" from byte ${length} on: it has ${length} bytes. Ask for bytes ` +
        "inside it",
    });
    await floats.read(name, new Uint8Array(1), length - 1);
  }
});
