/**
 * Checkpoints that disks and hands damage. In: how many damages, and a seed. Out: counts, and each
 * damage that was not noticed, or noticed without saying where.
 */

import { writeQuickstartData } from "../../examples/quickstart/write_dataset.ts";
import { writeQuickstartModel } from "../../examples/quickstart/quickstart_model.ts";
import { trainCommand } from "../../tests/support/train_command.ts";
import { verifyCheckpoint } from "../../train/checkpoints/checkpoint.ts";
import { type Random, seededRandom } from "./random.ts";

/** What a campaign came to. */
export interface DamageReport {
  readonly damages: number;
  readonly seconds: number;
  /** A sentence for each fault. */
  readonly findings: readonly string[];
}

type Damage = (path: string, bytes: Uint8Array, random: Random) => Promise<void>;

/** What is done to one file of a checkpoint. */
const DAMAGES: Readonly<Record<string, Damage>> = {
  "a flipped bit": (path, bytes, random) =>
    change(path, bytes, (copy) => copy[random.below(copy.length)] ^= 1 << random.below(8)),
  "a page of zeros": (path, bytes, random) =>
    change(path, bytes, (copy) => {
      const at = random.below(copy.length);
      copy.fill(0, at, at + 4096);
      // Where there were zeros.
      copy[at] = bytes[at] ^ 0xff;
    }),
  "a lost end": (path, bytes, random) =>
    Deno.writeFile(path, bytes.subarray(0, random.below(bytes.length))),
  "more at its end": (path, bytes, random) =>
    Deno.writeFile(path, Uint8Array.of(...bytes.subarray(-64), random.below(256)), {
      append: true,
    }),
  "a missing file": (path) => Deno.remove(path),
  "a folder in its place": async (path) => {
    await Deno.remove(path);
    await Deno.mkdir(path);
  },
  "a link in its place": async (path) => {
    await Deno.rename(path, `${path}.moved`);
    await Deno.symlink(`${path}.moved`, path);
  },
  "a file of another name": (path) => Deno.rename(path, `${path}.bak`),
};

async function change(
  path: string,
  bytes: Uint8Array,
  edit: (copy: Uint8Array) => void,
): Promise<void> {
  const copy = bytes.slice();
  edit(copy);
  await Deno.writeFile(path, copy);
}

/** Damages a checkpoint of a full run again and again, and checks that it is refused. */
export async function damage(
  { damages, seed }: { readonly damages: number; readonly seed: number },
): Promise<DamageReport> {
  const began = performance.now();
  const folder = await Deno.makeTempDir({ prefix: "ortune-damages-" });
  const findings: string[] = [];
  try {
    await writeQuickstartModel(`${folder}/models/tiny`, 1);
    await writeQuickstartData(`${folder}/data`);
    const { code, stderr } = await trainCommand([
      ...["--model", `${folder}/models/tiny`, "--train-file", `${folder}/data/train.jsonl`],
      ...["--output-dir", `${folder}/output`, "--max-length", "512", "--max-steps", "1"],
    ]);
    if (code !== 0) throw new Error(stderr);
    const checkpoint = `${folder}/output/checkpoint-1`;
    const names = await Array.fromAsync(Deno.readDir(checkpoint), ({ name }) => name);
    names.sort();
    const random = seededRandom(seed);
    const kinds = Object.keys(DAMAGES);
    for (let n = 0; n < damages; n++) {
      const [name, kind] = [random.pick(names), kinds[n % kinds.length]];
      const path = `${checkpoint}/${name}`;
      const bytes = await Deno.readFile(path);
      await DAMAGES[kind](path, bytes, random);
      try {
        await verifyCheckpoint(checkpoint);
        findings.push(`${kind} in ${name} is not noticed`);
      } catch (cause) {
        const { message } = cause as Error;
        const placed = message.startsWith(`Cannot use checkpoint ${checkpoint}: `) &&
          message.includes(name);
        if (!placed) findings.push(`${kind} in ${name}: ${message}`);
      }
      for (const each of [path, `${path}.moved`, `${path}.bak`]) {
        await Deno.remove(each, { recursive: true }).catch(() => {});
      }
      await Deno.writeFile(path, bytes);
    }
    await verifyCheckpoint(checkpoint);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return { damages, seconds: (performance.now() - began) / 1000, findings };
}
