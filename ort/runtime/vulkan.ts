/**
 * The GPUs that Vulkan offers. ONNX Runtime's WebGPU provider tells neither which it took nor its
 * driver, and says little where the loader is missing.
 *
 * In: the name of Vulkan's loader. Out: adapters in the loader's order.
 */

import { OutParameter } from "./api.ts";

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
  /** Whether it computes on the processor. */
  readonly software: boolean;
}

const SYMBOLS = {
  vkCreateInstance: { parameters: ["buffer", "pointer", "buffer"], result: "i32" },
  vkDestroyInstance: { parameters: ["pointer", "pointer"], result: "void" },
  vkEnumeratePhysicalDevices: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
  vkGetPhysicalDeviceProperties: { parameters: ["pointer", "buffer"], result: "void" },
} as const;

// vulkan_core.h: VkStructureType, and sizes of VkInstanceCreateInfo and VkPhysicalDeviceProperties.
const INSTANCE_CREATE_INFO = 1;
const CREATE_INFO_BYTES = 64;
const PROPERTIES_BYTES = 1024; // the structure has 824
const NAME_OFFSET = 20;
const NAME_BYTES = 256;
const TYPE_CPU = 4;
const NVIDIA = 0x10de;

/**
 * Lists the adapters; none where no driver answers.
 *
 * @throws {Error} where the loader cannot be opened
 */
export function vulkanAdapters(loader: string): VulkanAdapter[] {
  const library = Deno.dlopen(loader, SYMBOLS);
  const vulkan = library.symbols;
  const info = new Uint8Array(CREATE_INFO_BYTES);
  new DataView(info.buffer).setUint32(0, INSTANCE_CREATE_INFO, true);
  const instance = new OutParameter();
  try {
    if (vulkan.vkCreateInstance(info, null, instance.bytes) !== 0) return [];
    const count = new Uint32Array(1);
    if (vulkan.vkEnumeratePhysicalDevices(instance.pointer, count, null) !== 0) return [];
    const devices = new BigUint64Array(count[0]);
    vulkan.vkEnumeratePhysicalDevices(instance.pointer, count, devices);
    return Array.from(devices.subarray(0, count[0]), (device) => {
      const properties = new Uint8Array(PROPERTIES_BYTES);
      vulkan.vkGetPhysicalDeviceProperties(Deno.UnsafePointer.create(device), properties);
      return describe(properties);
    });
  } finally {
    vulkan.vkDestroyInstance(instance.pointer, null); // null where none was made: nothing happens
    library.close();
  }
}

function describe(properties: Uint8Array<ArrayBuffer>): VulkanAdapter {
  const [, version, vendor, , type] = new Uint32Array(properties.buffer, 0, 5);
  const name = properties.subarray(NAME_OFFSET, NAME_OFFSET + NAME_BYTES);
  return {
    name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
    driver:
      (vendor === NVIDIA
        ? [version >>> 22, version >>> 14 & 0xff, version >>> 6 & 0xff]
        : [version >>> 22, version >>> 12 & 0x3ff, version & 0xfff]).join("."),
    software: type === TYPE_CPU,
  };
}
