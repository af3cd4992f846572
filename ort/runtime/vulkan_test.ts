import assert from "node:assert/strict";
import { largestHeap, preferredAdapter, type VulkanAdapter } from "./vulkan.ts";

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
