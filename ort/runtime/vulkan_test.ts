import assert from "node:assert/strict";
import { largestHeap, preferredAdapter, type VulkanAdapter, vulkanAdapters } from "./vulkan.ts";

Deno.test("the adapter that is taken is the first by kind, and unknown where two are alike", () => {
  const adapter = (name: string, type: number): VulkanAdapter => ({
    ...{ name, driver: "1.0.0", type, software: type === 4 },
    ...{ heap: 2 ** 33, free: undefined, largestBuffer: 2 ** 31 },
  });
  const [integrated, discrete, other] = [adapter("i", 1), adapter("d", 2), adapter("d2", 2)];
  const software = adapter("s", 4);
  assert.equal(preferredAdapter([software, integrated, discrete]), discrete);
  assert.equal(preferredAdapter([software, integrated]), integrated);
  assert.equal(preferredAdapter([software]), software);
  assert.equal(preferredAdapter([software, discrete, other]), undefined);
  assert.equal(preferredAdapter([]), undefined);
});

/** A VkPhysicalDeviceMemoryProperties: 32 types of 8 bytes, then heaps of a size and flags. */
function memory(...heaps: readonly (readonly [bytes: bigint, flags: number])[]): DataView {
  const view = new DataView(new ArrayBuffer(520));
  // So many types, of which each names a heap.
  view.setUint32(0, 32, true);
  for (let type = 0; type < 32; type++) view.setBigUint64(4 + 8 * type, 0xf_0000_000fn, true);
  view.setUint32(260, heaps.length, true);
  for (const [index, [bytes, flags]] of heaps.entries()) {
    view.setBigUint64(264 + 16 * index, bytes, true);
    view.setUint32(264 + 16 * index + 8, flags, true);
  }
  return view;
}

Deno.test("buffers come from the largest heap of the device's own, or of all", () => {
  const GIB = 2n ** 30n;
  const found = (...heaps: readonly (readonly [bigint, number])[]) => {
    const heap = largestHeap(memory(...heaps));
    return heap && [heap.index, heap.bytes / 2 ** 30];
  };
  // Memory of the host is often the larger one; a small window of the device's is visible from the host.
  assert.deepEqual(found([64n * GIB, 0], [24n * GIB, 1], [GIB / 4n, 1]), [1, 24]);
  // VK_MEMORY_HEAP_MULTI_INSTANCE_BIT says nothing of whose it is.
  assert.deepEqual(found([64n * GIB, 2], [24n * GIB, 3]), [1, 24]);
  assert.deepEqual(found([8n * GIB, 0], [16n * GIB, 0]), [1, 16]);
  assert.deepEqual(found([16n * GIB, 1]), [0, 16]);
  assert.equal(found(), undefined);
});

/** What a driver of the test's tells of a device; the sizes of structures and places in them are vulkan_core.h's. */
interface Driver {
  readonly name: string;
  readonly api: readonly [major: number, minor: number];
  readonly version: number;
  readonly vendor?: number;
  readonly type?: number;
  readonly heaps: readonly (readonly [bytes: bigint, flags: number])[];
  /** Of each heap. @default not told */
  readonly budget?: readonly (readonly [budget: bigint, usage: bigint])[];
  /** @default not told */
  readonly largestAllocation?: bigint;
  readonly largestBuffer?: bigint;
}

/** What a loader that has these drivers is asked for, and what is made of it. */
function listed(
  drivers: readonly Driver[],
  { loader = [1, 1], codes = {}, without = [] }: {
    /** The loader's own version. */
    readonly loader?: readonly [number, number];
    readonly codes?: Readonly<Record<string, number>>;
    /** Functions that it has not. */
    readonly without?: readonly string[];
  } = {},
): { adapters: VulkanAdapter[]; calls: string[] } {
  const calls: string[] = [];
  const newer = loader[1] > 0;
  const INSTANCE = 0x111n;
  const addresses = new Map<bigint, string>();
  const at = (pointer: Deno.PointerValue): bigint => Deno.UnsafePointer.value(pointer);
  const viewAt = (pointer: bigint, bytes: number): DataView =>
    new DataView(
      Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(pointer)!, bytes),
    );
  const driverOf = (device: Deno.PointerValue): Driver => drivers[Number(at(device)) - 0x200];
  const version = ([major, minor]: readonly [number, number]): number => major << 22 | minor << 12;
  const symbols = {
    vkGetInstanceProcAddr(instance: Deno.PointerValue, bytes: Uint8Array): Deno.PointerValue {
      const name = new TextDecoder().decode(bytes.subarray(0, -1));
      assert.equal(bytes.at(-1), 0);
      if (name === "vkEnumerateInstanceVersion") {
        assert.equal(instance, null);
        return newer ? Deno.UnsafePointer.create(1n) : null;
      }
      assert.equal(at(instance), INSTANCE);
      if (without.includes(name)) return null;
      const address = BigInt(0x900 + addresses.size);
      addresses.set(address, name);
      return Deno.UnsafePointer.create(address);
    },
    vkCreateInstance(info: DataView, allocator: null, out: BigUint64Array): number {
      // VkInstanceCreateInfo: 64 bytes, of type 1.
      assert.deepEqual([info.getUint32(0, true), allocator], [1, null]);
      for (const place of [8, 16, 32, 40, 48, 56]) assert.equal(info.getBigUint64(place, true), 0n);
      const application = info.getBigUint64(24, true);
      assert.equal(application === 0n, !newer);
      if (newer) {
        // VkApplicationInfo: 48 bytes, of type 0, its version last.
        const told = viewAt(application, 48);
        for (const place of [0, 8, 16, 24, 32]) assert.equal(told.getBigUint64(place, true), 0n);
        assert.deepEqual([told.getUint32(40, true), told.getUint32(44, true)], [
          0,
          version([1, 1]),
        ]);
      }
      if (!codes.vkCreateInstance) out[0] = INSTANCE;
      return codes.vkCreateInstance ?? 0;
    },
    vkDestroyInstance(instance: Deno.PointerValue): void {
      calls.push(`destroy ${at(instance).toString(16)}`);
    },
    vkEnumeratePhysicalDevices(
      instance: Deno.PointerValue,
      count: Uint32Array,
      devices: BigUint64Array | null,
    ): number {
      assert.equal(at(instance), INSTANCE);
      if (devices === null) count[0] = drivers.length + 1;
      else {
        // One that was there has gone since.
        assert.deepEqual([count[0], devices.length], [drivers.length + 1, drivers.length + 1]);
        drivers.forEach((_, i) => devices[i] = BigInt(0x200 + i));
        count[0] = drivers.length;
      }
      return codes.vkEnumeratePhysicalDevices ?? 0;
    },
    vkGetPhysicalDeviceProperties(device: Deno.PointerValue, bytes: Uint8Array): void {
      assert.ok(bytes.length >= 824);
      const { name, api, version: own, vendor = 0x1002, type = 2 } = driverOf(device);
      bytes.fill(7);
      const view = new DataView(bytes.buffer);
      [version(api), own, vendor, 99, type].forEach((each, i) => view.setUint32(4 * i, each, true));
      bytes.set(new TextEncoder().encode(`${name}\0`), 20);
    },
    vkGetPhysicalDeviceMemoryProperties(device: Deno.PointerValue, view: DataView): void {
      assert.ok(view.byteLength >= 520);
      const told = memory(...driverOf(device).heaps);
      new Uint8Array(view.buffer).set(new Uint8Array(told.buffer));
    },
  };
  class FnPointer {
    readonly #name: string;
    constructor(pointer: Deno.PointerObject, signature: Deno.ForeignFunction) {
      this.#name = addresses.get(at(pointer))!;
      assert.deepEqual(signature, { parameters: ["pointer", "buffer"], result: "void" });
    }
    call(device: Deno.PointerValue, asked: DataView): void {
      const driver = driverOf(device);
      assert.ok(driver.api[1] >= 1, "only of Vulkan 1.1");
      const next = asked.getBigUint64(8, true);
      const type = viewAt(next, 4).getUint32(0, true);
      const outer = asked.getUint32(0, true);
      if (this.#name === "vkGetPhysicalDeviceMemoryProperties2") {
        // VkPhysicalDeviceMemoryProperties2 and VkPhysicalDeviceMemoryBudgetPropertiesEXT.
        assert.deepEqual([outer, type], [1000059006, 1000237000]);
        assert.ok(asked.byteLength >= 16 + 520);
        const told = viewAt(next, 272);
        driver.budget?.forEach(([budget, usage], i) => {
          told.setBigUint64(16 + 8 * i, budget, true);
          told.setBigUint64(144 + 8 * i, usage, true);
        });
        return;
      }
      assert.equal(this.#name, "vkGetPhysicalDeviceProperties2");
      assert.equal(outer, 1000059001);
      assert.ok(asked.byteLength >= 16 + 824);
      // VkPhysicalDeviceMaintenance3Properties and VkPhysicalDeviceMaintenance4Properties.
      if (type === 1000168000) {
        viewAt(next, 32).setBigUint64(24, driver.largestAllocation ?? 0n, true);
      } else {
        assert.equal(type, 1000413001);
        viewAt(next, 24).setBigUint64(16, driver.largestBuffer ?? 0n, true);
      }
    }
  }
  const { dlopen, UnsafeFnPointer } = Deno;
  const close = (): void => void calls.push("close");
  Object.assign(Deno, { dlopen: () => ({ symbols, close }), UnsafeFnPointer: FnPointer });
  try {
    return { adapters: vulkanAdapters("loader"), calls };
  } finally {
    Object.assign(Deno, { dlopen, UnsafeFnPointer });
  }
}

const GIB = 2n ** 30n;

Deno.test("an adapter is described by what its driver tells", () => {
  const { adapters, calls } = listed([
    {
      name: "AMD Radeon",
      api: [1, 3],
      version: 25 << 22 | 3 << 12 | 7,
      heaps: [[64n * GIB, 0], [24n * GIB, 1]],
      budget: [[60n * GIB, GIB], [20n * GIB, 3n * GIB]],
      largestAllocation: 4n * GIB,
      largestBuffer: 3n * GIB,
    },
    {
      name: "NVIDIA H200",
      api: [1, 4],
      vendor: 0x10de,
      version: (570 << 22 | 133 << 14 | 20 << 6 | 3) >>> 0,
      heaps: [[140n * GIB, 1]],
      // More is used than may be.
      budget: [[GIB, 2n * GIB]],
      largestAllocation: 2n * GIB,
      largestBuffer: 8n * GIB,
    },
    {
      name: "llvmpipe",
      api: [1, 1],
      version: 1 << 22,
      type: 4,
      heaps: [[16n * GIB, 1]],
      largestAllocation: 3n * GIB,
    },
    { name: "none", api: [1, 1], version: 0, type: 1, heaps: [] },
  ]);
  const gib = 2 ** 30;
  assert.deepEqual(adapters, [
    {
      name: "AMD Radeon",
      driver: "25.3.7",
      type: 2,
      software: false,
      heap: 24 * gib,
      free: 17 * gib,
      largestBuffer: 3 * gib,
    },
    {
      name: "NVIDIA H200",
      driver: "570.133.20",
      type: 2,
      software: false,
      heap: 140 * gib,
      free: 0,
      largestBuffer: 2 * gib,
    },
    {
      name: "llvmpipe",
      driver: "1.0.0",
      type: 4,
      software: true,
      heap: 16 * gib,
      free: undefined,
      largestBuffer: 2 ** 31 - 16,
    },
    {
      name: "none",
      driver: "0.0.0",
      type: 1,
      software: false,
      heap: 0,
      free: undefined,
      largestBuffer: 0,
    },
  ]);
  assert.deepEqual(calls, ["destroy 111", "close"]);
});

Deno.test("drivers and loaders of Vulkan 1.0 tell neither of free memory nor of limits", () => {
  const driver: Driver = {
    name: "old",
    api: [1, 0],
    version: 0xffffffff,
    heaps: [[2n * GIB, 1], [4n * GIB, 1]],
    budget: [[GIB, 0n], [GIB, 0n]],
    largestAllocation: GIB,
  };
  const expected = {
    name: "old",
    driver: "1023.1023.4095",
    type: 2,
    software: false,
    heap: 2 ** 32,
    free: undefined,
    largestBuffer: 2 ** 32,
  };
  assert.deepEqual(listed([driver]).adapters, [expected]);
  const newer = { ...driver, api: [1, 2] } as const;
  assert.deepEqual(listed([newer], { loader: [1, 0] }).adapters, [expected]);
  const without = ["vkGetPhysicalDeviceMemoryProperties2", "vkGetPhysicalDeviceProperties2"];
  assert.deepEqual(listed([newer], { without }).adapters, [expected]);
  assert.deepEqual(listed([newer]).adapters, [
    { ...expected, free: 2 ** 30, largestBuffer: 2 ** 30 },
  ]);
});

Deno.test("there are no adapters where no driver answers, and the loader is closed", () => {
  const driver: Driver = { name: "x", api: [1, 1], version: 0, heaps: [[GIB, 1]] };
  assert.deepEqual(listed([driver], { codes: { vkCreateInstance: -9 } }), {
    adapters: [],
    calls: ["destroy 0", "close"],
  });
  assert.deepEqual(listed([driver], { codes: { vkEnumeratePhysicalDevices: -3 } }), {
    adapters: [],
    calls: ["destroy 111", "close"],
  });
  assert.deepEqual(listed([]).adapters, []);
});

Deno.test("adapters of kinds that Dawn does not name are the last, and a missing one is none", () => {
  const adapter = (type: number): VulkanAdapter => ({
    ...{ name: `${type}`, driver: "", type, software: type === 4 },
    ...{ heap: 1, free: undefined, largestBuffer: 1 },
  });
  const taken = (...types: number[]) => preferredAdapter(types.map(adapter))?.type;
  assert.equal(taken(0, 4), 4);
  assert.equal(taken(3, 1), 1);
  assert.equal(taken(3), 3);
  assert.equal(taken(0, 3), undefined);
});
