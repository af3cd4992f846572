import assert from "node:assert/strict";
import {
  fakePointer,
  recordedApi,
  type RecordedCall,
  wordsOf,
} from "../../tests/support/recorded_api.ts";
import type { DeviceLog } from "./device_log.ts";
import { MemoryBudget, WAYS_OUT } from "./memory_budget.ts";
import { KEEPER_MODEL, WebGpu } from "./webgpu.ts";

const [ENV, OPTIONS, HOST, DEVICE] = [1, 2, 3, 4].map(fakePointer);
const ROOM = { name: "GPU", heap: 2 ** 40, free: 2 ** 39, largestBuffer: 2 ** 38 };

/** Whether a call compiles the graph that no provider has a kernel for. */
const isTry = ({ name, what }: RecordedCall): boolean =>
  name === "CreateSessionFromArray" && what === "try a graph";

/** A device over an API of the test's, its messages, and calls in words. */
function open(
  does: (call: RecordedCall, messages: string[]) => Deno.PointerValue | void = () => {},
) {
  const messages: string[] = [];
  const log = {
    failure: undefined as string | undefined,
    take: () => messages.splice(0),
  };
  let handle = 0x900n;
  const { api, take } = recordedApi((call) => {
    if (isTry(call)) {
      messages.push("no kernel for Sign");
      throw new Error("no kernel");
    }
    if (call.name === "GetTensorMutableData") {
      (call.args[1] as BigUint64Array)[0] = handle++;
    }
    return does(call, messages);
  });
  const budget = new MemoryBudget(() => ROOM);
  const gpu = new WebGpu({
    api,
    env: ENV,
    sessionOptions: OPTIONS,
    hostMemory: HOST,
    memory: DEVICE,
    log: log as unknown as DeviceLog,
    budget,
  });
  /** Calls since they were last asked for; addresses of the host as such. */
  const calls = (): string[] =>
    take().map(({ name, what, args }) =>
      `${name}${what === undefined ? "" : ` to ${what}`}: ${
        wordsOf(args).map((word) => word.length > 9 && word.startsWith("@") ? "@host" : word)
          .join(" ")
      }`
    );
  return { gpu, log, messages, budget, calls, take };
}

const at = (address: bigint, byteLength: number, offset = 0) => ({ address, offset, byteLength });

Deno.test("the device is kept by a session of its own, after its log was heard", () => {
  const { gpu, take, messages } = open();
  const [tried, kept, allocator, ...rest] = take();
  const model = Uint8Array.fromBase64(KEEPER_MODEL);
  const text = (bytes: unknown) => new TextDecoder("latin1").decode(bytes as Uint8Array);
  assert.equal(text(tried.args[1]), text(model).replace("Sqrt", "Sign"));
  assert.deepEqual(kept.args[1], model);
  for (const { name, args } of [tried, kept]) {
    assert.equal(name, "CreateSessionFromArray");
    assert.deepEqual([args[0], args[2], args[3]], [ENV, model.length, OPTIONS]);
  }
  assert.deepEqual([allocator.name, allocator.what, ...wordsOf(allocator.args)], [
    "CreateAllocator",
    "use device webgpu",
    "@100",
    "@4",
  ]);
  assert.deepEqual([kept.what, rest, messages], ["use device webgpu", [], []]);
  assert.equal(gpu.viewsAtOffset, false);
  gpu[Symbol.dispose]();
  assert.deepEqual(take().map(({ name, args }) => [name, ...wordsOf(args)]), [
    ["ReleaseAllocator", "@101"],
    ["ReleaseSession", "@100"],
  ]);
});

Deno.test("a log that hears nothing is refused; a library that has the kernel tells nothing of it", () => {
  const make = (does: (call: RecordedCall) => void) => {
    const { api, take } = recordedApi(does);
    const log = { take: () => [] } as unknown as DeviceLog;
    const budget = new MemoryBudget(() => undefined);
    const handles = { env: ENV, sessionOptions: OPTIONS, hostMemory: HOST, memory: DEVICE };
    return { take, open: () => new WebGpu({ api, ...handles, log, budget }) };
  };
  const silent = make((call) => {
    if (isTry(call)) throw new Error("no kernel");
  });
  assert.throws(silent.open, {
    message:
      "Cannot use device webgpu: ONNX Runtime was opened before in this process, and would not tell of the " +
      "device's errors; open the runtime with device webgpu first: it runs graphs on the cpu too",
  });
  const newer = make(() => {});
  newer.open();
  assert.deepEqual(newer.take().map(({ name, args }) => `${name} ${wordsOf(args)[0]}`), [
    "CreateSessionFromArray @1",
    "ReleaseSession @100",
    "CreateSessionFromArray @1",
    "CreateAllocator @101",
  ]);
});

Deno.test("a tensor is allocated within the budget, and given back to it", () => {
  const { gpu, budget, calls } = open();
  calls();
  const { value, address } = gpu.allocate("bfloat16", [2, 3], "make a tensor");
  assert.deepEqual([Deno.UnsafePointer.value(value), address], [0x102n, 0x900n]);
  assert.deepEqual(calls(), [
    // ONNX's number of bfloat16 is 16.
    "CreateTensorAsOrtValue to make a tensor: @101 [2,3] 2 16",
    "GetTensorMutableData to make a tensor: @102 [2304]",
  ]);
  assert.equal(budget.held, 12);
  gpu.free(address);
  gpu.free(address);
  gpu.free(77n);
  assert.equal(budget.held, 0);
  assert.throws(
    () => gpu.allocate("float32", [2 ** 37], "make a tensor"),
    /^RangeError: Cannot make a tensor on webgpu: it has 549755813888 bytes/,
  );
  assert.deepEqual([calls(), budget.held], [[], 0]);
});

Deno.test("an allocation that fails counts for nothing, and is the device's last", () => {
  const refused = open(({ name }) => {
    if (name === "CreateTensorAsOrtValue") throw new Error("no");
  });
  assert.throws(() => refused.gpu.allocate("float32", [2], "make a tensor"), /^Error: no$/);
  assert.deepEqual([refused.budget.held, refused.log.failure], [0, undefined]);
  const told = open(({ name }, messages) => {
    if (name === "CreateTensorAsOrtValue") {
      messages.push(
        "a kernel's",
        "WebGPU device error:  out of\n memory",
        "WebGPU device error: out of memory",
      );
    }
  });
  const reason = `a tensor did not fit (WebGPU device error: out of memory); ${WAYS_OUT}`;
  assert.throws(() => told.gpu.allocate("float32", [2], "make a tensor"), {
    message: `Cannot make a tensor on webgpu: ${reason}`,
  });
  assert.equal(told.budget.held, 0);
  assert.equal(
    told.log.failure,
    `the WebGPU device has failed and may not be used any more in this process: ${reason}`,
  );
});

Deno.test("uploads, downloads and copies are of whole buffers, from their start", () => {
  const { gpu, calls } = open();
  calls();
  const copied = (from: string, to: string, bytes: number): string[] => [
    `CreateTensorWithDataAsOrtValue to copy ${bytes} bytes: ${from} ${bytes} [${bytes}] 1 2`,
    `CreateTensorWithDataAsOrtValue to copy ${bytes} bytes: ${to} ${bytes} [${bytes}] 1 2`,
  ];
  const values = (first: number): string[] => {
    const [source, target] = [first, first + 1];
    return [
      `[${source}] [${target}]`,
      `ReleaseValue: @${source.toString(16)}`,
      `ReleaseValue: @${target.toString(16)}`,
    ];
  };
  let next = 0x102;
  const check = (from: string, to: string, bytes: number): void => {
    const [pair, ...released] = values(next);
    next += 2;
    assert.deepEqual(calls(), [
      ...copied(from, to, bytes),
      `CopyTensors to copy ${bytes} bytes: @1 ${pair} null 1`,
      ...released,
    ]);
  };
  gpu.upload(at(0x50n, 12), new Uint8Array(8));
  check("@3 @host", "@4 @50", 8);
  gpu.download(at(0x51n, 12), new Uint8Array(5));
  check("@4 @51", "@3 @host", 5);
  gpu.copy(at(0x52n, 16), at(0x53n, 20), 4);
  check("@4 @53", "@4 @52", 4);
  // The last group of a tensor may be cut short.
  gpu.copy(at(0x52n, 7), at(0x53n, 20), 7);
  check("@4 @53", "@4 @52", 7);
  gpu.upload(at(0x50n, 3), new Uint8Array(3));
  check("@3 @host", "@4 @50", 3);
  gpu.copy(at(0x52n, 16), at(0x53n, 20), 0);
  gpu.upload(at(0x52n, 16), new Uint8Array(0));
  assert.deepEqual(calls(), []);
  for (
    const write of [
      () => gpu.upload(at(0x50n, 12), new Uint8Array(7)),
      () => gpu.copy(at(0x50n, 12), at(0x53n, 20), 7),
    ]
  ) {
    assert.throws(write, {
      name: "RangeError",
      message:
        "Cannot write 7 bytes into a tensor of 12 on webgpu: part of a tensor is written in groups of 4 bytes " +
        "there",
    });
  }
  for (
    const reach of [
      () => gpu.upload(at(0x50n, 12, 4), new Uint8Array(8)),
      () => gpu.download(at(0x50n, 12, 4), new Uint8Array(8)),
      () => gpu.copy(at(0x50n, 12), at(0x50n, 12, 4), 8),
    ]
  ) {
    assert.throws(reach, {
      name: "RangeError",
      message:
        "Cannot reach byte 4 of a tensor on webgpu: a tensor there is one buffer, which copies and graphs use " +
        "from its start; give each part a tensor of its own",
    });
  }
  assert.deepEqual(calls(), []);
  gpu[Symbol.dispose]();
  assert.throws(() => gpu.copy(at(1n, 4), at(2n, 4), 4), {
    name: "ReferenceError",
    message: "Cannot use the runtime: it was disposed of",
  });
});

Deno.test("a copy that is refused releases its values, and says what the device says", () => {
  for (
    const [said, refusal, message, failed] of [
      [[], "no", "no", false],
      [["something"], "no", "no", false],
      [
        ["WebGPU device error: bad"],
        undefined,
        "Cannot copy 4 bytes on webgpu: WebGPU device error: bad",
        true,
      ],
      [
        ["WebGPU device error: size exceeds maxBufferSize"],
        "no",
        `Cannot copy 4 bytes on webgpu: a tensor did not fit (WebGPU device error: size exceeds maxBufferSize); ${WAYS_OUT}`,
        true,
      ],
      [
        [],
        "the Device was lost",
        "Cannot copy 4 bytes on webgpu: the GPU was lost, as when a driver restarts or a dispatch takes too long (the " +
        "Device was lost); start again from the last checkpoint",
        true,
      ],
    ] as const
  ) {
    const { gpu, log, take } = open(({ name }, messages) => {
      if (name !== "CopyTensors") return;
      messages.push(...said);
      if (refusal) throw new Error(refusal);
    });
    take();
    assert.throws(() => gpu.copy(at(1n, 4), at(2n, 4), 4), { message });
    assert.deepEqual(take().slice(-2).map(({ name }) => name), ["ReleaseValue", "ReleaseValue"]);
    assert.equal(log.failure !== undefined, failed);
  }
  // What comes after the first failure has no other reason.
  const { gpu, log, messages } = open();
  gpu.throwErrors("look");
  log.failure = "before";
  messages.push("WebGPU device error: again");
  gpu.throwErrors("look");
  assert.equal(log.failure, "before");
  assert.throws(() => gpu.throwErrors("look", new Error("refused")), /^Error: refused$/);
});

Deno.test("zeros are kept on the device for the most that was asked for, up to 64 MiB", () => {
  const { gpu, budget, take } = open();
  const names = () => take().map(({ name }) => name);
  const allocated = ["CreateTensorAsOrtValue", "GetTensorMutableData"];
  const copied = [
    ...["CreateTensorWithDataAsOrtValue", "CreateTensorWithDataAsOrtValue", "CopyTensors"],
    ...["ReleaseValue", "ReleaseValue"],
  ];
  take();
  gpu.zero(0x50n, 8);
  assert.deepEqual(names(), [...allocated, ...copied, ...copied]);
  assert.equal(budget.held, 8);
  gpu.zero(0x50n, 8);
  const [from, to] = take();
  assert.deepEqual([wordsOf(from.args), wordsOf(to.args)], [
    ["@4", "@900", "8", "[8]", "1", "2"],
    ["@4", "@50", "8", "[8]", "1", "2"],
  ]);
  gpu.zero(0x50n, 4);
  assert.deepEqual(names(), copied);
  gpu.zero(0x50n, 0);
  assert.deepEqual(names(), []);
  gpu.zero(0x50n, 12);
  const made = take();
  assert.equal(made[0].name, "ReleaseValue");
  assert.equal(made[1].what, "keep 12 zeros");
  assert.equal(budget.held, 12);
  gpu.zero(0x50n, 2 ** 26);
  assert.equal(budget.held, 2 ** 26);
  take();
  // Beyond it they come from the host.
  gpu.zero(0x50n, 2 ** 26 + 4);
  assert.deepEqual(names(), copied);
  assert.equal(budget.held, 2 ** 26);
  gpu[Symbol.dispose]();
  assert.deepEqual(names(), ["ReleaseValue", "ReleaseAllocator", "ReleaseSession"]);
  assert.equal(budget.held, 0);
});
