/**
 * The output folder of a run, before anything is written there. In: arguments. Out: the folder,
 * locked; the checkpoint to go on from, or the earlier checkpoints that a new run is to delete.
 */

import type { Comm } from "../../comm/comm.ts";
import { broadcastJson } from "../../comm/json_between_ranks.ts";
import { type CheckpointFolder, listCheckpoints, sweepStaging } from "../checkpoints/checkpoint.ts";
import { lockOutput, type OutputLock } from "../checkpoints/output_lock.ts";
import { isSameFolder } from "../../internal/path_kind.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** A locked output folder. */
export interface RunFolder extends OutputLock {
  /** The checkpoint to go on from. */
  readonly resumeFrom?: string;
  /** What a new run is to delete, so that it does not mix with an earlier one. */
  readonly earlier: readonly CheckpointFolder[];
}

/** What of the arguments matters here. */
type FolderArguments = Pick<
  TrainingArguments,
  "model" | "lora" | "outputDir" | "overwriteOutputDir" | "resumeFromCheckpoint"
>;

/**
 * Locks the folder and looks at the checkpoints in it, once.
 *
 * @param comm processes of the run, of which the first does this, and writes there
 * @throws {Error} where another trainer holds it, or its checkpoints are in the way
 */
export async function openRunFolder(args: FolderArguments, comm: Comm): Promise<RunFolder> {
  using resources = new DisposableStack();
  const own = comm.rank === 0 ? resources.use(await lockRunFolder(args)) : undefined;
  const found = { directory: args.outputDir, resumeFrom: own?.resumeFrom };
  const { directory, resumeFrom } = await broadcastJson(comm, found);
  const owned = resources.move();
  return own ?? {
    directory,
    resumeFrom,
    earlier: [],
    isHeld: () => Promise.resolve(true),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

async function lockRunFolder(args: FolderArguments): Promise<RunFolder> {
  using resources = new DisposableStack();
  const lock = resources.use(await lockOutput(args.outputDir));
  await sweepStaging(lock.directory);
  const checkpoints = await listCheckpoints(lock.directory);
  const resumeFrom = resolveCheckpoint(args, checkpoints);
  const earlier = resumeFrom === undefined ? earlierCheckpoints(args, checkpoints) : [];
  await assertKept(args, earlier);
  const owned = resources.move();
  return { ...lock, resumeFrom, earlier, [Symbol.dispose]: () => owned.dispose() };
}

/** The folder to resume from, if one was asked for: nothing in front of which are later ones. */
function resolveCheckpoint(
  { resumeFromCheckpoint: asked, outputDir }: FolderArguments,
  checkpoints: readonly CheckpointFolder[],
): string | undefined {
  const resumeFrom = asked === true ? checkpoints.at(-1)?.directory : asked;
  if (resumeFrom === undefined && asked) {
    throw new Error(
      `Cannot resume: ${outputDir} has no checkpoint-N folder; ` +
        "leave --resume-from-checkpoint out to start a new run",
    );
  }
  const step = Number(/(\d+)\/*$/.exec(resumeFrom ?? "")?.[1]);
  const later = checkpoints.filter((each) => each.step > step);
  if (later.length === 0) return resumeFrom;
  // They would then belong to another past.
  throw new Error(
    `Cannot resume from ${resumeFrom} in ${outputDir}: it holds the later ${
      later.map(({ step }) => `checkpoint-${step}`).join(", ")
    }; move them away, or give another --output-dir`,
  );
}

/** Refuses to delete what the run starts from. */
async function assertKept(
  { model, lora, outputDir }: FolderArguments,
  deleted: readonly CheckpointFolder[],
): Promise<void> {
  const start = lora?.initAdapter === undefined ? [model] : [model, lora.initAdapter];
  for (const { directory } of deleted) {
    for (const each of start) {
      if (!await isSameFolder(each, directory)) continue;
      throw new Error(
        `Cannot overwrite ${outputDir}: the run starts from ${each}, which would be deleted; give ` +
          "another --output-dir",
      );
    }
  }
}

function earlierCheckpoints(
  { outputDir, overwriteOutputDir }: FolderArguments,
  checkpoints: readonly CheckpointFolder[],
): readonly CheckpointFolder[] {
  if (overwriteOutputDir || checkpoints.length === 0) return checkpoints;
  throw new Error(
    `Cannot start a new run in ${outputDir}: it holds ${
      checkpoints.map(({ step }) => `checkpoint-${step}`).join(", ")
    }; pass --resume-from-checkpoint to go on, another --output-dir, or --overwrite-output-dir ` +
      "to delete them",
  );
}
