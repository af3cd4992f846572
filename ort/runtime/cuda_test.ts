/** A CUDA device over libraries of the test's: what is asked of them, in which order, and what is said where they refuse. */

import assert from "node:assert/strict";
import { countCudaDevices, Cuda } from "./cuda.ts";

const MIB = 2 ** 20;
const HALF = 4 * MIB;
const STREAM = 0x5000n;

/** Libraries whose device memory is the host's. */
interface FakeCuda extends Disposable {
  /** Calls since they were last taken. */
  take(): string[];
  /** What functions answer. @default 0 */
  readonly codes: Record<string, number>;
  free: number;
}

/** Puts the libraries in place. */
function fakeCuda(
  { devices = 2, missing = {} }: {
    readonly devices?: number;
    readonly missing?: Readonly<Record<string, Error>>;
  } = {},
): FakeCuda {
  const calls: string[] = [];
  const codes: Record<string, number> = {};
  let made = 0;
  let allocated = 0;
  /** Pinned memory, which lives until it is freed. */
  const pinned = new Map<bigint, Uint8Array<ArrayBuffer>>();
  const at = (pointer: Deno.PointerValue) => Deno.UnsafePointer.value(pointer).toString(16);
  const place = (address: number | bigint): string => {
    for (const [from, { length }] of pinned) {
      const offset = BigInt(address) - from;
      if (offset >= 0n && offset < length) return `pinned+${offset}`;
    }
    return BigInt(address).toString(16);
  };
  const note = (name: string, line: string): number => {
    calls.push(line);
    return codes[name] ?? 0;
  };
  const cudart = {
    cudaGetDeviceCount: (
      out: Int32Array,
    ) => (out[0] = devices, note("cudaGetDeviceCount", "count")),
    cudaSetDevice: (index: number) => note("cudaSetDevice", `device ${index}`),
    cudaGetErrorString: (code: number): Deno.PointerValue =>
      code === 99
        ? null
        : Deno.UnsafePointer.of(new TextEncoder().encode(`error ${code}s words\0`)),
    cudaStreamCreateWithFlags(out: BigUint64Array, flags: number): number {
      out[0] = STREAM;
      return note("cudaStreamCreateWithFlags", `stream, flags ${flags}`);
    },
    cudaStreamDestroy: (stream: Deno.PointerValue) =>
      note("cudaStreamDestroy", `destroy stream ${at(stream)}`),
    cudaStreamSynchronize: (stream: Deno.PointerValue) =>
      note("cudaStreamSynchronize", `wait for stream ${at(stream)}`),
    cudaEventCreateWithFlags(out: BigUint64Array, flags: number): number {
      out[0] = BigInt(0xe0 + ++made);
      return note("cudaEventCreateWithFlags", `event, flags ${flags}`);
    },
    cudaEventRecord: (event: Deno.PointerValue, stream: Deno.PointerValue) =>
      note("cudaEventRecord", `record ${at(event)} on ${at(stream)}`),
    cudaEventSynchronize: (event: Deno.PointerValue) =>
      note("cudaEventSynchronize", `wait for ${at(event)}`),
    cudaEventDestroy: (event: Deno.PointerValue) =>
      note("cudaEventDestroy", `destroy ${at(event)}`),
    cudaMalloc(out: BigUint64Array, bytes: number): number {
      out[0] = BigInt(0x100000 * ++allocated);
      return note("cudaMalloc", `allocate ${bytes}`);
    },
    cudaFree: (address: bigint) => note("cudaFree", `free ${address.toString(16)}`),
    cudaMallocHost(out: BigUint64Array, bytes: number): number {
      const memory = new Uint8Array(bytes);
      out[0] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
      pinned.set(out[0], memory);
      return note("cudaMallocHost", `pin ${bytes}`);
    },
    cudaFreeHost(address: bigint): number {
      const { length } = pinned.get(address)!;
      pinned.delete(address);
      return note("cudaFreeHost", `unpin ${length}`);
    },
    cudaMemcpyAsync(
      to: bigint,
      from: bigint,
      bytes: number,
      kind: number,
      stream: Deno.PointerValue,
    ): number {
      assert.equal(Deno.UnsafePointer.value(stream), STREAM);
      // What comes from the host says which bytes it is of; what goes there is made up.
      const pointer = (address: bigint) => Deno.UnsafePointer.create(address)!;
      let said = "";
      if (kind === 1) {
        const view = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer(from), bytes));
        said = ` of ${view[0]}..${view[bytes - 1]}`;
      } else if (kind === 2) {
        const view = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer(to), bytes));
        view.fill(Number(from & 0xffn));
      }
      return note(
        "cudaMemcpyAsync",
        `copy ${bytes} to ${place(to)} from ${place(from)}, ${kind}${said}`,
      );
    },
    cudaMemsetAsync(
      address: bigint,
      value: number,
      bytes: number,
      stream: Deno.PointerValue,
    ): number {
      assert.equal(Deno.UnsafePointer.value(stream), STREAM);
      return note("cudaMemsetAsync", `fill ${bytes} at ${address.toString(16)} with ${value}`);
    },
    cudaMemGetInfo(free: BigUint64Array, total: BigUint64Array): number {
      free[0] = BigInt(fake.free);
      total[0] = BigInt(1000 * MIB);
      return note("cudaMemGetInfo", "memory");
    },
  };
  const { dlopen } = Deno;
  Object.assign(Deno, {
    dlopen(name: string) {
      if (name === "libc.so.6") return { symbols: { setenv: () => 0 }, close() {} };
      if (missing[name]) throw missing[name];
      calls.push(`open ${name}`);
      return { symbols: cudart };
    },
  });
  const fake: FakeCuda = {
    take: () => calls.splice(0),
    codes,
    free: 600 * MIB,
    [Symbol.dispose]: () => void Object.assign(Deno, { dlopen }),
  };
  return fake;
}

Deno.test("a device is opened once for all its users, on a stream of its own, and closed by the last", () => {
  using fake = fakeCuda();
  const cuda = Cuda.open(1);
  assert.deepEqual(fake.take(), [
    "open libcuda.so.1",
    "open libcudart.so.13",
    "count",
    "device 1",
    "stream, flags 1",
    "memory",
  ]);
  assert.deepEqual([cuda.index, Deno.UnsafePointer.value(cuda.stream)], [1, STREAM]);
  const other = Cuda.open(0);
  fake.take();
  assert.equal(Cuda.open(1), cuda);
  assert.deepEqual(fake.take(), []);
  const first = cuda.allocate(100);
  const second = cuda.allocate(100);
  cuda.free(first);
  fake.take();
  cuda[Symbol.dispose]();
  assert.deepEqual(fake.take(), []);
  cuda[Symbol.dispose]();
  assert.deepEqual(fake.take(), [
    "wait for stream 5000",
    `free ${second.toString(16)}`,
    "destroy stream 5000",
  ]);
  cuda[Symbol.dispose]();
  cuda.free(second);
  assert.deepEqual(fake.take(), []);
  other[Symbol.dispose]();
  const again = Cuda.open(1);
  assert.notEqual(again, cuda);
  // It is another one's now.
  fake.take();
  cuda[Symbol.dispose]();
  assert.deepEqual(fake.take(), []);
  again[Symbol.dispose]();
  assert.equal(fake.take().length, 2);
});

Deno.test("memory is counted as it is taken and given back", () => {
  using fake = fakeCuda();
  using cuda = Cuda.open(0);
  const expected = {
    tensors: 0,
    tensorsPeak: 0,
    leastFree: 600 * MIB,
    usedPeak: 0,
    total: 1000 * MIB,
  };
  assert.deepEqual(cuda.memory(), expected);
  const address = cuda.allocate(300);
  const empty = cuda.allocate(0);
  assert.deepEqual(fake.take().slice(-2), ["allocate 300", "allocate 1"]);
  // The most of what the driver tells, and of what tensors hold.
  const held = { tensors: 301, tensorsPeak: 301, usedPeak: 301 };
  assert.deepEqual(cuda.memory(), { ...expected, ...held });
  fake.free = 450 * MIB;
  assert.deepEqual(cuda.memory(), {
    ...expected,
    ...held,
    leastFree: 450 * MIB,
    usedPeak: 150 * MIB,
  });
  fake.free = 500 * MIB;
  cuda.free(address);
  cuda.free(empty);
  cuda.allocate(20);
  // Of nobody's nothing is given back.
  cuda.free(77n);
  assert.deepEqual(cuda.memory(), {
    tensors: 20,
    tensorsPeak: 301,
    leastFree: 450 * MIB,
    usedPeak: 150 * MIB,
    total: 1000 * MIB,
  });
});

const SHORT =
  "out of memory: 600.0 MiB of 1000.0 MiB is free, and ortune's tensors hold 3.0 MiB; train shorter rows or fewer of " +
  "them at once, an adapter, or a smaller model";

Deno.test("what does not fit is refused with what is free", () => {
  using fake = fakeCuda();
  using cuda = Cuda.open(0);
  cuda.allocate(3 * MIB);
  fake.codes.cudaMalloc = 2;
  assert.throws(() => cuda.allocate(5.5 * MIB), {
    message: `Cannot allocate 5.5 MiB on cuda:0: ${SHORT}`,
  });
  fake.codes.cudaMalloc = 3;
  assert.throws(() => cuda.allocate(7), {
    message: "Cannot allocate 7 bytes on cuda:0: CUDA's cudaMalloc says: error 3s words (error 3)",
  });
  fake.codes.cudaMalloc = 99;
  assert.throws(() => cuda.allocate(7), /says: unknown error \(error 99\)$/);
  assert.equal(cuda.memory().tensors, 3 * MIB);
  for (const says of ["Failed to allocate memory for", "CUDA OUT OF MEMORY", "at BFCArena::x"]) {
    const cause = new Error(says);
    const error = cuda.explainShortage(cause, "run graph g")!;
    assert.deepEqual([error.message, error.cause], [
      `Cannot run graph g on cuda:0: ${SHORT}`,
      cause,
    ]);
  }
  assert.equal(cuda.explainShortage(new Error("other"), "run graph g"), undefined);
});

Deno.test("uploads go through two halves of pinned memory, each begun anew after its copies are done", () => {
  using fake = fakeCuda();
  using cuda = Cuda.open(0);
  fake.take();
  const all = new Uint8Array(2 * HALF + 256);
  for (let i = 0; i < 256; i++) all[i] = i;
  for (let done = 256; done < all.length; done *= 2) all.copyWithin(done, 0, done);
  const bytes = (length: number, from: number) => all.subarray(from, from + length);
  cuda.upload(0x1000n, bytes(10, 1));
  assert.deepEqual(fake.take(), [
    `pin ${2 * HALF}`,
    "event, flags 2",
    "event, flags 2",
    "copy 10 to 1000 from pinned+0, 1 of 1..10",
  ]);
  cuda.upload(0x2000n, bytes(256, 3));
  cuda.upload(0x2100n, new Uint8Array(0));
  cuda.upload(0x3000n, bytes(257, 5));
  assert.deepEqual(fake.take(), [
    "copy 256 to 2000 from pinned+256, 1 of 3..2",
    "copy 257 to 3000 from pinned+512, 1 of 5..5",
  ]);
  // What is left of the first half, all of the second one, and the first one again.
  const rest = HALF - 1024;
  cuda.upload(0x100000n, bytes(rest + HALF + 2, 0));
  const hex = (value: number) => value.toString(16);
  assert.deepEqual(fake.take(), [
    `copy ${rest} to 100000 from pinned+1024, 1 of 0..255`,
    "record e1 on 5000",
    "wait for e2",
    `copy ${HALF} to ${hex(0x100000 + rest)} from pinned+${HALF}, 1 of 0..255`,
    "record e2 on 5000",
    "wait for e1",
    `copy 2 to ${hex(0x100000 + rest + HALF)} from pinned+0, 1 of 0..1`,
  ]);
  // A half that is full to its last byte is left alone until more comes.
  cuda.upload(0x4000n, bytes(HALF - 256, 9));
  assert.deepEqual(fake.take(), [`copy ${HALF - 256} to 4000 from pinned+256, 1 of 9..8`]);
  cuda.upload(0x5000n, bytes(1, 4));
  assert.deepEqual(fake.take(), [
    "record e1 on 5000",
    "wait for e2",
    `copy 1 to 5000 from pinned+${HALF}, 1 of 4..4`,
  ]);
});

Deno.test("downloads wait for their copies, by pieces of pinned memory that is made once", () => {
  using fake = fakeCuda();
  using cuda = Cuda.open(0);
  fake.take();
  const into = new Uint8Array(HALF + 3);
  cuda.download(0x1011n, into);
  assert.deepEqual(fake.take(), [
    `pin ${HALF}`,
    `copy ${HALF} to pinned+0 from 1011, 2`,
    "wait for stream 5000",
    `copy 3 to pinned+0 from ${(0x1011 + HALF).toString(16)}, 2`,
    "wait for stream 5000",
  ]);
  assert.ok(into.every((byte) => byte === 0x11));
  const small = new Uint8Array(4);
  cuda.download(0x1022n, small.subarray(1, 3));
  assert.deepEqual([...small], [0, 0x22, 0x22, 0]);
  cuda.download(0x1022n, new Uint8Array(0));
  assert.deepEqual(fake.take(), ["copy 2 to pinned+0 from 1022, 2", "wait for stream 5000"]);
});

Deno.test("copies and zeros are queued, and nothing is of no bytes", () => {
  using fake = fakeCuda();
  using cuda = Cuda.open(0);
  fake.take();
  cuda.copy(0x1000n, 0x2000n, 5);
  cuda.copy(0x1000n, 0x2000n, 0);
  cuda.zero(0x3000n, 6);
  cuda.zero(0x3000n, 0);
  cuda.synchronize();
  assert.deepEqual(fake.take(), [
    "copy 5 to 1000 from 2000, 3",
    "fill 6 at 3000 with 0",
    "wait for stream 5000",
  ]);
  for (
    const [name, call, says] of [
      ["cudaMemcpyAsync", () => cuda.copy(1n, 2n, 5), "copy 5 bytes"],
      ["cudaMemsetAsync", () => cuda.zero(1n, 5), "zero 5 bytes"],
      ["cudaStreamSynchronize", () => cuda.synchronize(), "finish work on cuda:0"],
      ["cudaMallocHost", () => cuda.upload(1n, new Uint8Array(1)), "allocate pinned host memory"],
      ["cudaFree", () => cuda.free(1n), "free memory of the device"],
    ] as const
  ) {
    fake.codes[name] = 7;
    assert.throws(call, {
      message: `Cannot ${says}: CUDA's ${name} says: error 7s words (error 7)`,
    });
    fake.codes[name] = 0;
  }
});

Deno.test("all that was made is freed", () => {
  using fake = fakeCuda();
  const cuda = Cuda.open(0);
  const address = cuda.allocate(9);
  cuda.upload(address, new Uint8Array(9));
  cuda.download(address, new Uint8Array(9));
  fake.take();
  cuda[Symbol.dispose]();
  const events = fake.take();
  assert.deepEqual(events.map((line) => line.replace(/e\d+$/, "event")), [
    "wait for stream 5000",
    `free ${address.toString(16)}`,
    "destroy event",
    "destroy event",
    `unpin ${2 * HALF}`,
    `unpin ${HALF}`,
    "destroy stream 5000",
  ]);
  assert.notEqual(events[2], events[3]);
});

Deno.test("a device that is not there is refused with how many there are", () => {
  for (const [devices, count] of [[1, "1 CUDA device"], [2, "2 CUDA devices"]] as const) {
    using _fake = fakeCuda({ devices });
    assert.equal(countCudaDevices(), devices);
    assert.throws(() => Cuda.open(devices), {
      name: "RangeError",
      message:
        `Cannot use device cuda:${devices}: this machine has ${count}; pass --device cuda:0 or --device cpu`,
    });
    Cuda.open(devices - 1)[Symbol.dispose]();
  }
  using fake = fakeCuda();
  fake.codes.cudaGetDeviceCount = 35;
  assert.throws(() => Cuda.open(1), {
    message:
      "Cannot use device cuda:1: CUDA finds no GPU: error 35s words (error 35); see what `nvidia-smi` says: the " +
      "driver must be as new as the CUDA libraries, or pass --device cpu",
  });
});

Deno.test("missing libraries are named, with what to install", () => {
  const cannot = (name: string) => new Error(`Could not open library: ${name}: cannot open`);
  const says = (missing: Readonly<Record<string, Error>>, message: RegExp | Error) => {
    using _fake = fakeCuda({ missing });
    assert.throws(() => Cuda.open(3), message);
  };
  says(
    { "libcuda.so.1": cannot("libcuda.so.1") },
    /^Error: Cannot use device cuda:3: NVIDIA's driver library libcuda\.so\.1 is missing \(.+\); install the driver/,
  );
  const both = {
    "libcudart.so.13": cannot("libcudart.so.13"),
    "libcudart.so.12": cannot("libcudart.so.12"),
  };
  says(
    both,
    /^Error: Cannot use device cuda:3: CUDA's runtime library is missing \(.*13.*; .*12.*\); install the CUDA 13/,
  );
  const denied = new Deno.errors.NotCapable("ffi");
  says({ "libcuda.so.1": denied }, denied);
  using fake = fakeCuda({ missing: { "libcudart.so.13": cannot("libcudart.so.13") } });
  Cuda.open(0)[Symbol.dispose]();
  assert.ok(fake.take().includes("open libcudart.so.12"));
});
