/**
 * Reads hostile inputs in a process of its own, which may hang, grow or fall without its parent.
 * Arguments: a folder, a target, a seed, the first input and the one after the last. Prints the number
 * of each input before it is read, after `!` what an error without words of its own says, and in the
 * end counts.
 */

import { type FuzzTargetName, fuzzTargets } from "./fuzz_targets.ts";
import { hashText } from "./hash_text.ts";
import { seededRandom } from "./random.ts";

/** How JavaScript says that code met what it did not expect. */
const RAW = [
  /^Cannot (read|set) propert/,
  /^Cannot (convert|destructure|mix|create|access|assign|redefine)\b/,
  /^(undefined|null|Invalid (array|string|typed array|count)|Maximum call stack|Array buffer)/,
  /^\S+ is not (a function|iterable|a constructor|defined|an object)/,
  /^(Reduce of|Iterator value|Reflect|Object prototype|Unexpected token)/,
];

const [folder, name, seed, first, end] = Deno.args;
const encoder = new TextEncoder();
const tell = (line: string): number => Deno.stdout.writeSync(encoder.encode(`${line}\n`));

const target = (await fuzzTargets(folder, Number(first)))[name as FuzzTargetName];
let [accepted, refused] = [0, 0];
for (let input = Number(first); input < Number(end); input++) {
  tell(`${input}`);
  try {
    await target(seededRandom(Number(seed), hashText(name), input));
    accepted++;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    refused++;
    if (!(error instanceof Error) || RAW.some((each) => each.test(message))) {
      tell(`!${input} ${JSON.stringify(message.slice(0, 200))}`);
    }
  }
}
tell(`=${accepted} ${refused} ${Deno.memoryUsage().rss}`);
