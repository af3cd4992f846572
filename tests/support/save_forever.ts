/**
 * Saves checkpoints until it is killed. Arguments: an output folder. Prints the step of each
 * checkpoint once it is saved; every third one is saved twice.
 */

import {
  listCheckpoints,
  rotateCheckpoints,
  sweepStaging,
  writeCheckpoint,
} from "../../train/checkpoints/checkpoint.ts";
import { lockOutput } from "../../train/checkpoints/output_lock.ts";

const [output] = Deno.args;
const lock = await lockOutput(output);
await sweepStaging(lock.directory);
const weights = new Uint8Array(1 << 20);
let step = (await listCheckpoints(output)).at(-1)?.step ?? 0;
while (step < 1e6) {
  step++;
  weights.fill(step);
  for (let times = step % 3 === 0 ? 2 : 1; times > 0; times--) {
    await writeCheckpoint(output, step, async (staging) => {
      for (const name of ["a", "b", "c"]) await Deno.writeFile(`${staging}/${name}`, weights);
      return [];
    });
    console.log(`saved ${step}.`);
  }
  await rotateCheckpoints(output, 2);
}
