/**
 * Saves checkpoints until the disk is full. Arguments: output folders, each on a small disk of its
 * own. Prints the error of each, and what then is in the folder.
 */

import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import {
  listCheckpoints,
  verifyCheckpoint,
  writeCheckpoint,
} from "../../train/checkpoints/checkpoint.ts";

const data = new Uint8Array(600_000);
const source = tensorSourceFromMap(new Map([["w", { dtype: "uint8", shape: [600_000], data }]]));
for (const output of Deno.args) {
  let message = "";
  for (let step = 1; message === "" && step < 20; step++) {
    try {
      await writeCheckpoint(output, step, async (staging) => {
        await Deno.writeFile(`${staging}/small.json`, data.subarray(0, 100_000));
        const written = await writeSafetensors(`${staging}/model.safetensors`, source);
        return [{ name: "model.safetensors", ...written }];
      });
    } catch (cause) {
      message = (cause as Error).message;
    }
  }
  const checkpoints = await listCheckpoints(output);
  for (const { directory } of checkpoints) await verifyCheckpoint(directory);
  const names = (await Array.fromAsync(Deno.readDir(output), ({ name }) => name)).sort();
  console.log(JSON.stringify({ output, message, names }));
}
