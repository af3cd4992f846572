/**
 * A checkpoint of a run whose output folder is gone.
 *
 * In: the folder's path and what fills a checkpoint. Out: the checkpoint in a new folder beside it,
 * and the error that the run ends with.
 */

import { writeCheckpoint } from "./checkpoint.ts";

/** Folders of rescued runs that are looked at for a free name. */
const MAX_RESCUES = 1000;

/** Stops a save into a folder that is not the run's any more. */
export async function assertHeld(isHeld: () => Promise<boolean>): Promise<void> {
  if (!await isHeld()) throw new Error("the folder was moved or removed");
}

/**
 * Saves `checkpoint-<step>` into `<output>-rescued-<n>`, the first that there is not, or into
 * `<output>/rescued-<n>` where nothing may be made beside the output folder.
 *
 * @param fill as for {@linkcode writeCheckpoint}
 * @returns the error that tells of it; its cause is what went wrong if nothing could be saved
 */
export async function rescue(
  output: string,
  step: number,
  fill: Parameters<typeof writeCheckpoint>[2],
): Promise<Error> {
  const lost = `Cannot go on training into ${output}: the folder was moved, removed or replaced ` +
    "while the run wrote into it";
  try {
    const folder = await newFolder(output);
    const { directory } = await writeCheckpoint(folder, step, fill);
    return new Error(
      `${lost}; update ${step} is saved in ${directory}: put it among the earlier checkpoints, or ` +
        `give --output-dir ${folder}, and resume with --resume-from-checkpoint`,
    );
  } catch (cause) {
    return new Error(
      `${lost}, and update ${step} could not be saved: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

async function newFolder(output: string): Promise<string> {
  const path = output.replace(/[/\\]+$/, "");
  try {
    return await firstFree((n) => `${path}-rescued-${n}`);
  } catch (cause) {
    // The output folder may be all that the task may write to.
    if (!(cause instanceof Deno.errors.NotCapable)) throw cause;
    return await firstFree((n) => `${path}/rescued-${n}`);
  }
}

async function firstFree(name: (n: number) => string): Promise<string> {
  await Deno.mkdir(name(1).replace(/[^/\\]*$/, "") || ".", { recursive: true });
  for (let n = 1; n < MAX_RESCUES; n++) {
    try {
      await Deno.mkdir(name(n));
      return name(n);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.AlreadyExists)) throw cause;
    }
  }
  throw new Error(`${name(1)} to ${name(MAX_RESCUES - 1)} are there already; move them away`);
}
