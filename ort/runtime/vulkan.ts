/**
 * The GPUs that Vulkan offers, and their memory. ONNX Runtime's WebGPU provider tells neither which it
 * took nor its driver nor what fits there, and says little where the loader is missing.
 *
 * In: the name of Vulkan's loader. Out: adapters in the loader's order.
 */

import { cString, OutParameter } from "./api.ts";

/** Vulkan's loader, by the name that Dawn opens it with. */
export const VULKAN_LOADER: Readonly<Record<string, string>> = {
  linux: "libvulkan.so.1",
  windows: "vulkan-1.dll",
};

/** A GPU, or a driver that computes on the processor. */
export interface VulkanAdapter {
  /** As its driver names it. */
  readonly name: string;
  /** The driver's version, such as `25.0.7`. */
  readonly driver: string;
  /** VkPhysicalDeviceType: 1 integrated, 2 discrete, 3 virtual, 4 on the processor, 0 another. */
  readonly type: number;
  /** Whether it computes on the processor. */
  readonly software: boolean;
  /** Bytes of the heap that buffers come from. */
  readonly heap: number;
  /** Of them, what this process can still take; undefined where the driver does not tell. */
  readonly free: number | undefined;
  /** The most bytes that a buffer may have, of the heap too. */
  readonly largestBuffer: number;
}

const SYMBOLS = {
  vkCreateInstance: { parameters: ["buffer", "pointer", "buffer"], result: "i32" },
  vkDestroyInstance: { parameters: ["pointer", "pointer"], result: "void" },
  vkEnumeratePhysicalDevices: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
  vkGetPhysicalDeviceProperties: { parameters: ["pointer", "buffer"], result: "void" },
  vkGetPhysicalDeviceMemoryProperties: { parameters: ["pointer", "buffer"], result: "void" },
  vkGetInstanceProcAddr: { parameters: ["pointer", "buffer"], result: "pointer" },
} as const;

type Vulkan = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

// vulkan_core.h: values of VkStructureType, and where members lie in structures of 64-bit systems.
// VkInstanceCreateInfo, and after it the VkApplicationInfo that it points to, whose type is 0.
const INSTANCE_INFO = { type: 1, bytes: 64 + 48, pointer: 24, application: 64, apiVersion: 44 };
const PROPERTIES = { bytes: 1024, name: 20, nameBytes: 256 } as const; // the structure has 824
const PROPERTIES_2 = { type: 1000059001, bytes: 16 + PROPERTIES.bytes } as const;
const MAINTENANCE_3 = { type: 1000168000, bytes: 32, largestAllocation: 24 } as const;
const MAINTENANCE_4 = { type: 1000413001, bytes: 24, largestBuffer: 16 } as const;
const MEMORY = { bytes: 520, heapCount: 260, heaps: 264, heapBytes: 16 } as const;
const MEMORY_2 = { type: 1000059006, bytes: 16 + MEMORY.bytes } as const;
const BUDGET = { type: 1000237000, bytes: 272, budget: 16, usage: 144 } as const;
const NEXT = 8;
const DEVICE_LOCAL = 1;
const VERSION_1_1 = 1 << 22 | 1 << 12;
const TYPE_CPU = 4;
const NVIDIA = 0x10de;
/**
 * Mesa's lavapipe takes the bytes of a copy, rounded up to 16, as a signed number of 32 bits: it tells
 * of buffers of 2 GiB, and the copy of one ends the process (measured with Mesa 25.0.7).
 */
const LARGEST_COPY = 2 ** 31 - 16;

/**
 * Lists the adapters; none where no driver answers.
 *
 * @throws {Error} where the loader cannot be opened
 */
export function vulkanAdapters(loader: string): VulkanAdapter[] {
  const library = Deno.dlopen(loader, SYMBOLS);
  const vulkan = library.symbols;
  // A loader of Vulkan 1.0 has no such function, and refuses a newer version than its own.
  const newer = vulkan.vkGetInstanceProcAddr(null, cString("vkEnumerateInstanceVersion")) !== null;
  // One memory, so that what is pointed to lives as long as what points.
  const info = struct(INSTANCE_INFO);
  const application = BigInt(INSTANCE_INFO.application);
  info.setUint32(INSTANCE_INFO.application + INSTANCE_INFO.apiVersion, VERSION_1_1, true);
  if (newer) info.setBigUint64(INSTANCE_INFO.pointer, addressOf(info) + application, true);
  const instance = new OutParameter();
  try {
    if (vulkan.vkCreateInstance(info, null, instance.bytes) !== 0) return [];
    const count = new Uint32Array(1);
    if (vulkan.vkEnumeratePhysicalDevices(instance.pointer, count, null) !== 0) return [];
    const devices = new BigUint64Array(count[0]);
    vulkan.vkEnumeratePhysicalDevices(instance.pointer, count, devices);
    return Array.from(devices.subarray(0, count[0]), (device) =>
      describe(vulkan, {
        device: Deno.UnsafePointer.create(device),
        instance: newer ? instance.pointer : null,
      }));
  } finally {
    vulkan.vkDestroyInstance(instance.pointer, null); // null where none was made: nothing happens
    library.close();
  }
}

/** Dawn's order where high performance is asked for: discrete, integrated, processor, others. */
const PREFERENCE = [2, 1, TYPE_CPU];

/** The adapter that Dawn takes; undefined where several are alike to it. */
export function preferredAdapter(adapters: readonly VulkanAdapter[]): VulkanAdapter | undefined {
  const rank = ({ type }: VulkanAdapter): number =>
    PREFERENCE.includes(type) ? PREFERENCE.indexOf(type) : PREFERENCE.length;
  const first = Math.min(...adapters.map(rank));
  const candidates = adapters.filter((adapter) => rank(adapter) === first);
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** A device, and the instance where it is of Vulkan 1.1 or newer. */
interface Handles {
  readonly device: Deno.PointerValue;
  readonly instance: Deno.PointerValue;
}

function describe(vulkan: Vulkan, { device, instance }: Handles): VulkanAdapter {
  const properties = new Uint8Array(PROPERTIES.bytes);
  vulkan.vkGetPhysicalDeviceProperties(device, properties);
  const [api, version, vendor, , type] = new Uint32Array(properties.buffer, 0, 5);
  const name = properties.subarray(PROPERTIES.name, PROPERTIES.name + PROPERTIES.nameBytes);
  const handles = { device, instance: api >= VERSION_1_1 ? instance : null };
  const memory = memoryOf(vulkan, handles);
  return {
    name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
    driver:
      (vendor === NVIDIA
        ? [version >>> 22, version >>> 14 & 0xff, version >>> 6 & 0xff]
        : [version >>> 22, version >>> 12 & 0x3ff, version & 0xfff]).join("."),
    type,
    software: type === TYPE_CPU,
    ...memory,
    largestBuffer: Math.min(
      memory.heap,
      ...toldLimits(vulkan, handles),
      ...type === TYPE_CPU ? [LARGEST_COPY] : [],
    ),
  };
}

/**
 * The largest heap of the device's own, from which Dawn takes its buffers, or of all.
 *
 * @param memory a VkPhysicalDeviceMemoryProperties
 */
export function largestHeap(
  memory: DataView,
): { readonly index: number; readonly bytes: number } | undefined {
  const count = memory.getUint32(MEMORY.heapCount, true);
  return Array.from({ length: count }, (_, index) => {
    const at = MEMORY.heaps + index * MEMORY.heapBytes;
    const own = (memory.getUint32(at + 8, true) & DEVICE_LOCAL) !== 0;
    return { index, bytes: Number(memory.getBigUint64(at, true)), own };
  }).sort((a, b) => Number(b.own) - Number(a.own) || b.bytes - a.bytes)[0];
}

/** Bytes of that heap, and what is free of it. */
function memoryOf(vulkan: Vulkan, handles: Handles): Pick<VulkanAdapter, "heap" | "free"> {
  const memory = new DataView(new ArrayBuffer(MEMORY.bytes));
  vulkan.vkGetPhysicalDeviceMemoryProperties(handles.device, memory);
  const largest = largestHeap(memory);
  if (!largest) return { heap: 0, free: undefined };
  const { index, bytes } = largest;
  const told = ask(vulkan, handles, {
    call: "vkGetPhysicalDeviceMemoryProperties2",
    struct: MEMORY_2,
    next: BUDGET,
  });
  const budget = told && Number(told.getBigUint64(BUDGET.budget + 8 * index, true));
  // A driver without VK_EXT_memory_budget skips its structure and leaves zeros.
  if (!told || !budget) return { heap: bytes, free: undefined };
  const usage = Number(told.getBigUint64(BUDGET.usage + 8 * index, true));
  return { heap: bytes, free: Math.max(0, budget - usage) };
}

/** Limits of one buffer and of one allocation, as far as the driver tells them. */
function toldLimits(vulkan: Vulkan, handles: Handles): readonly number[] {
  const limits = [[MAINTENANCE_3, MAINTENANCE_3.largestAllocation], [
    MAINTENANCE_4,
    MAINTENANCE_4.largestBuffer,
  ]] as const;
  return limits.map(([next, at]) => {
    const call = "vkGetPhysicalDeviceProperties2";
    const told = ask(vulkan, handles, { call, struct: PROPERTIES_2, next });
    return told ? Number(told.getBigUint64(at, true)) : 0;
  }).filter((bytes) => bytes > 0); // a driver of an older Vulkan leaves zeros
}

interface Struct {
  readonly type: number;
  readonly bytes: number;
}

/** What Vulkan 1.1 fills in: the second structure, which the first one points to. */
function ask(
  vulkan: Vulkan,
  { device, instance }: Handles,
  { call, struct: outer, next }: {
    readonly call: string;
    readonly struct: Struct;
    readonly next: Struct;
  },
): DataView<ArrayBuffer> | undefined {
  const pointer = instance && vulkan.vkGetInstanceProcAddr(instance, cString(call));
  if (!pointer) return undefined;
  const signature = { parameters: ["pointer", "buffer"], result: "void" } as const;
  const [asked, told] = [struct(outer), struct(next)];
  asked.setBigUint64(NEXT, addressOf(told), true);
  new Deno.UnsafeFnPointer(
    pointer as Deno.PointerObject<Deno.ForeignFunction & typeof signature>,
    signature,
  ).call(device, asked);
  return told;
}

function struct({ type, bytes }: Struct): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(bytes));
  view.setUint32(0, type, true);
  return view;
}

function addressOf(view: DataView<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(view));
}
