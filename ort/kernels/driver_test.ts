import assert from "node:assert/strict";
import { DeviceArray, hostGpu } from "../../tests/support/test_gpu.ts";
import { CudaDriver } from "./driver.ts";
import { PRELUDE } from "./prelude.ts";

const host = await hostGpu();
const ignore = !host;

/** Writes down what it was given, one value of each type, from the last thread of the grid. */
const ECHO = {
  name: "echo",
  code: PRELUDE + String.raw`
extern "C" __global__ void echo(u8* to, i64 a, i32 b, u32 c, float d, double e) {
  DYNAMIC_SHARED(memory);
  if (threadIdx.x + 1 != blockDim.x || blockIdx.x + 1 != gridDim.x) return;
  if (blockIdx.y + 1 != gridDim.y || blockIdx.z + 1 != gridDim.z) return;
  memory[0] = 1;
  *reinterpret_cast<i64*>(to) = a;
  *reinterpret_cast<i32*>(to + 8) = b;
  *reinterpret_cast<u32*>(to + 12) = c;
  *reinterpret_cast<float*>(to + 16) = d;
  *reinterpret_cast<double*>(to + 24) = e;
  *reinterpret_cast<u32*>(to + 32) = blockDim.x * 1000000 + gridDim.x * 10000 + gridDim.y * 100 +
                                     gridDim.z;
}
`,
};
const TYPES = ["pointer", "i64", "i32", "u32", "f32", "f64"] as const;

Deno.test({
  name: "launch() hands values, grid, block, shared memory and stream to cuLaunchKernel",
  ignore,
  async fn() {
    const kernel = (await host!.gpu.load(ECHO)).kernel("echo", TYPES);
    const to = new DeviceArray(new Uint8Array(40));
    const view = new DataView(to.data.buffer, to.data.byteOffset, to.data.byteLength);
    host!.records();
    // More shared memory than the 48 KiB a kernel has unasked: the driver would refuse it.
    const launch = {
      stream: 0x7fff_1234_5678n,
      grid: [5, 4, 3],
      block: 64,
      sharedBytes: 100 << 10,
    } as const;
    for (const sign of [1, -1]) {
      kernel.launch(launch, [to.address, sign * 2 ** 40, -7, 0xffffffff, 0.1, sign * 0.1]);
      assert.equal(view.getBigInt64(0, true), BigInt(sign * 2 ** 40));
      assert.equal(view.getInt32(8, true), -7);
      assert.equal(view.getUint32(12, true), 0xffffffff);
      assert.equal(view.getFloat32(16, true), Math.fround(0.1));
      assert.equal(view.getFloat64(24, true), sign * 0.1);
      assert.equal(view.getUint32(32, true), 64_05_04_03);
    }
    const record = {
      name: "echo",
      stream: 0x7fff_1234_5678n,
      grid: [5, 4, 3],
      block: [64, 1, 1],
      sharedBytes: 100 << 10,
    };
    assert.deepEqual(host!.records(), [record, record]);
    to.assertGuards();
  },
});

Deno.test({
  name: "a grid without blocks launches nothing, and wrong launches say what was wrong",
  ignore,
  async fn() {
    const module = await host!.gpu.load(ECHO);
    const kernel = module.kernel("echo", TYPES);
    const values = [0n, 0, 0, 0, 0, 0];
    host!.records();
    kernel.launch({ stream: 0n, grid: [0], block: 32 }, values);
    assert.deepEqual(host!.records(), []);
    assert.throws(
      () => kernel.launch({ stream: 0n, grid: [1], block: 32 }, [0n]),
      /Cannot launch echo: it takes 6 values, got 1/,
    );
    assert.throws(
      () => kernel.launch({ stream: 0n, grid: [1, 1 << 16], block: 32 }, values),
      /Cannot launch echo on a grid of 1×65536×1 blocks: CUDA_ERROR_INVALID_VALUE \(CUDA error 1\)/,
    );
    assert.throws(
      () => kernel.launch({ stream: 0n, grid: [1], block: 32, sharedBytes: 1 << 20 }, values),
      /Cannot give echo 1048576 bytes of shared memory a block: CUDA_ERROR_INVALID_VALUE/,
    );
    assert.throws(() => module.kernel("absent", []), /Cannot find kernel absent: .*NOT_FOUND/);
  },
});

Deno.test({
  name: "the driver names the device's architecture and gives its context back",
  ignore,
  fn() {
    const library = host!.driverLibrary;
    const held = host!.retained();
    for (const [capability, architecture] of [[80, "sm_80"], [100, "sm_100"], [90, "sm_90"]]) {
      host!.setDevices(1, Number(capability));
      using driver = new CudaDriver({ library });
      assert.equal(driver.architecture, architecture);
      assert.equal(driver.multiprocessors, 132);
      assert.equal(host!.retained(), held + 1);
      assert.throws(() => driver.load(new Uint8Array(8)), /Cannot load a compiled kernel: .*IMAGE/);
    }
    assert.equal(host!.retained(), held);
  },
});

Deno.test({
  name: "the driver says why a device cannot be used",
  ignore,
  fn() {
    const library = host!.driverLibrary;
    try {
      host!.setDevices(0, 90);
      assert.throws(
        () => new CudaDriver({ library }),
        /Cannot start the CUDA driver: CUDA_ERROR_NO_DEVICE \(CUDA error 100\)/,
      );
      host!.setDevices(1, 75);
      assert.throws(
        () => new CudaDriver({ library }),
        /device 0: its compute capability is 7.5, and they need 8.0 \(Ampere\) or newer/,
      );
      host!.setDevices(2, 90);
      assert.throws(
        () => new CudaDriver({ library, device: 2 }),
        /Cannot use CUDA device 2: CUDA_ERROR_INVALID_DEVICE/,
      );
    } finally {
      host!.setDevices(1, 90);
    }
  },
});

Deno.test({
  name: "a synchronous device waits for each launch, and tells of a fault by the kernel's name",
  ignore,
  async fn() {
    const to = new DeviceArray(new Uint8Array(40));
    const launch = { stream: 0x7fff_1234_5678n, grid: [2], block: 64, sharedBytes: 16 } as const;
    const values = [to.address, 1, 2, 3, 4, 5];
    const image = new Uint8Array(await host!.compile(ECHO, "sm_90"));
    const faults: (string | undefined)[] = [];
    for (const synchronous of [false, true]) {
      using driver = new CudaDriver({ library: host!.driverLibrary, synchronous });
      using module = driver.load(image);
      const kernel = module.kernel("echo", TYPES);
      host!.waits();
      kernel.launch(launch, values);
      // Before it, for what others queued, and after it.
      assert.equal(host!.waits(), synchronous ? 2 : 0);
      host!.setFault("echo");
      for (let i = 0; i < 2; i++) {
        try {
          kernel.launch(launch, values);
          faults.push(undefined);
        } catch (error) {
          faults.push((error as Error).message);
        }
        host!.setFault("");
      }
    }
    const message = "Cannot run echo on a grid of 2×1×1 blocks: CUDA_ERROR_ILLEGAL_ADDRESS " +
      "(CUDA error 700)";
    assert.deepEqual(faults, [undefined, undefined, message, undefined]);
  },
});

Deno.test({
  name: "a fault of what was queued before is not laid on the kernel that waits for it",
  ignore,
  async fn() {
    const to = new DeviceArray(new Uint8Array(40));
    const launch = { stream: 0n, grid: [1], block: 64, sharedBytes: 16 } as const;
    const values = [to.address, 1, 2, 3, 4, 5];
    const other = (await host!.gpu.load(ECHO)).kernel("echo", TYPES);
    const image = new Uint8Array(await host!.compile(ECHO, "sm_90"));
    using driver = new CudaDriver({ library: host!.driverLibrary, synchronous: true });
    using module = driver.load(image);
    const kernel = module.kernel("echo", TYPES);
    host!.setFault("echo");
    other.launch(launch, values);
    assert.throws(
      () => kernel.launch(launch, values),
      /^Error: Cannot run what was queued before echo: CUDA_ERROR_ILLEGAL_ADDRESS \(CUDA error 700\)$/,
    );
    host!.setFault("");
  },
});
