import assert from "node:assert/strict";
import { cpu, deviceName, parseDevice } from "../../ort/runtime/device.ts";
import { rankDevice } from "./rank_device.ts";

/** The devices of all processes of a machine. */
function devices(device: string, processes: number, gpus: number): string[] {
  return Array.from({ length: processes }, (_, localRank) => {
    const rank = { localRank, localSize: processes };
    return deviceName(rankDevice(parseDevice(device), rank, () => gpus));
  });
}

Deno.test("each process of a machine has a GPU of its own, from the one that was named on", () => {
  assert.deepEqual(devices("cuda", 4, 8), ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]);
  assert.deepEqual(devices("cuda:6", 3, 8), ["cuda:6", "cuda:7", "cuda:0"]);
  assert.deepEqual(devices("cuda:1", 1, 8), ["cuda:1"]);
});

Deno.test("a process that is shown one GPU has that one", () => {
  assert.deepEqual(devices("cuda", 3, 1), ["cuda:0", "cuda:0", "cuda:0"]);
});

Deno.test("processes share the host, and nobody is asked for GPUs", () => {
  const never = (): number => assert.fail();
  assert.equal(rankDevice(cpu, { localRank: 3, localSize: 4 }, never), cpu);
  const alone = { localRank: 0, localSize: 1 };
  assert.deepEqual(rankDevice(parseDevice("cuda:5"), alone, never), parseDevice("cuda:5"));
});
