/**
 * `deno task push`: a trained model or adapter to Hugging Face. In: a checkpoint or the output folder
 * of a run. Out: one commit with the weights, the tokenizer and a model card; optimizer state stays.
 *
 * @module
 */

import { basename, dirname } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import { type PushedFile, pushFiles } from "../../hub/push_files.ts";
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  readBaseModel,
  renameBaseModel,
} from "../../lora/adapter_config.ts";
import { readRun } from "../../train/track/dashboard_data.ts";
import { createByteProgress } from "../terminal/byte_progress.ts";
import { findTrained, MODEL_CONFIG } from "../../train/runs/find_model.ts";
import { ID } from "../../train/runs/named_folders.ts";
import { repositoryId } from "../arguments/flag_values.ts";
import { hubEnvironment } from "../process/hub_environment.ts";
import { findRegularFile } from "../../internal/regular_file.ts";
import { readChatSettings } from "../../data/text/chat_settings.ts";
import { trainedBase, TRAINING_ARGS } from "../../lora/trained_base.ts";
import type { BaseStorage } from "../../model/base_storage.ts";
import { modelCard } from "../../train/runs/model_card.ts";
import { companionFiles } from "../../train/checkpoints/model_files.ts";
import { runCommand } from "../process/run_command.ts";
import { modelIdOfPath, readModelOrigin } from "../../internal/json/model_origin.ts";
import { isFile, isFolder } from "../../internal/path_kind.ts";
import { RUN_MANIFEST } from "../../train/track/find_runs.ts";
import { readManifest, type RunManifest } from "../../train/runs/run_manifest.ts";
import { terminal } from "../terminal/terminal.ts";

interface PushFlags {
  readonly model: string;
  readonly repo: string;
  readonly private?: boolean;
  readonly revision: string;
  readonly message: string;
  readonly dryRun?: boolean;
}

const CARD = "README.md";
const CURVE = "loss.svg";
const WEIGHTS = /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/;

await runCommand<PushFlags>({
  name: "deno task push",
  description: "Pushes a trained model or adapter to Hugging Face, with a model card.",
  flags: (command: Command) =>
    command
      .requiredOption("--model <dir>", "a checkpoint, or the output folder of a run")
      .requiredOption("--repo <owner/name>", "where to; made if it is not there", repositoryId)
      .option("--private", "make the repository private")
      .option("--revision <name>", "branch", "main")
      .option("--message <text>", "title of the commit", "Push from ortune")
      .option("--dry-run", "print the model card and the files; send nothing"),
  run: async ({ options, signal }) => {
    const { repo, revision, message: title } = options;
    const adapter = await findTrained(options.model, ADAPTER_CONFIG);
    const isAdapter = await isFile(`${adapter}/${ADAPTER_CONFIG}`);
    const folder = isAdapter ? adapter : await findTrained(options.model, MODEL_CONFIG);
    const run = await runOf(folder);
    const storage = isAdapter ? await trainedBase(folder) : undefined;
    const files = await filesToPush(folder, { adapter: isAdapter, storage });
    const baseModel = await baseModelId(folder, { isAdapter, manifest: run?.manifest });
    if (isAdapter) await nameBase(files, { folder, baseModel });
    if (run && await isFile(`${run.folder}/${CURVE}`)) {
      files.push(await pushed(run.folder, CURVE));
    }
    const logged = run && await readRun(run.folder, repo);
    const card = modelCard({
      repo,
      adapter: isAdapter,
      baseModel,
      manifest: run?.manifest,
      figures: logged?.figures,
      samples: logged?.samples,
      curve: files.some(({ path }) => path === CURVE),
      chat: await readChatSettings(folder),
      storage,
    });
    const readme = new Blob([card]);
    files.push({ path: CARD, content: readme, bytes: readme.size });
    if (options.dryRun) {
      console.log(card);
      for (const { path, bytes } of files) console.log(`${path}  ${bytes} bytes`);
      return;
    }
    const { endpoint, token } = hubEnvironment("huggingface");
    if (token === undefined) {
      throw new Error(
        "Cannot push: HF_TOKEN is not set; make a token that may write at " +
          "https://huggingface.co/settings/tokens and set it",
      );
    }
    const { write, isTty, columns = () => 80 } = terminal;
    const progress = createByteProgress({ write, isTty, columns, now: () => performance.now() });
    try {
      const address = await pushFiles(repo, files, {
        token,
        title,
        revision,
        endpoint,
        private: options.private,
        signal,
        onProgress: progress.update,
      });
      progress.finish();
      console.log(address);
    } finally {
      progress.finish();
    }
  },
});

/** Weights, configs and tokenizer: what a reader of the model needs. */
async function filesToPush(
  folder: string,
  { adapter, storage }: { readonly adapter: boolean; readonly storage: BaseStorage | undefined },
): Promise<PushedFile[]> {
  const names: string[] = [];
  if (await isFolder(folder)) {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (!isDirectory) names.push(name);
    }
  }
  const wanted = adapter ? [ADAPTER_CONFIG, ADAPTER_WEIGHTS] : [MODEL_CONFIG];
  // Whoever takes the adapter has to round its base as training did.
  if (storage) wanted.push(TRAINING_ARGS);
  const own = names.filter((name) => wanted.includes(name) || !adapter && WEIGHTS.test(name))
    .sort();
  const weights = adapter ? own.includes(ADAPTER_WEIGHTS) : own.some((name) => WEIGHTS.test(name));
  if (!weights || !own.includes(wanted[0])) {
    throw new Error(
      `Cannot push ${folder}: it holds neither ${MODEL_CONFIG} with model.safetensors nor ` +
        `${ADAPTER_CONFIG} with ${ADAPTER_WEIGHTS}; give a checkpoint or the output folder of a run`,
    );
  }
  const companions = (await companionFiles(folder)).map((path) => basename(path));
  return await Promise.all([...own, ...companions].map((name) => pushed(folder, name)));
}

/** The id of the model that a folder's weights were made from, as far as anything there tells. */
async function baseModelId(
  folder: string,
  { isAdapter, manifest }: { readonly isAdapter: boolean; readonly manifest?: RunManifest },
): Promise<string | undefined> {
  const named = isAdapter ? await readBaseModel(folder).catch(() => undefined) : undefined;
  if (named !== undefined && ID.test(named)) return named;
  return manifest?.baseModel ?? modelIdOfPath(named ?? String(manifest?.arguments.model ?? "")) ??
    (await readModelOrigin(folder)).baseModel;
}

/** Has a pushed adapter name its base by its id on a hub: a folder of this machine leads nobody there. */
async function nameBase(
  files: PushedFile[],
  { folder, baseModel }: { readonly folder: string; readonly baseModel: string | undefined },
): Promise<void> {
  if (baseModel === undefined) {
    const named = await readBaseModel(folder).catch(() => undefined);
    console.error(
      `note: ${ADAPTER_CONFIG} names ${
        named === undefined ? "no base model" : JSON.stringify(named)
      }` +
        ", which is on no hub: whoever uses the adapter must give its base model by hand; push that " +
        "too, or fetch it with deno task fetch before training",
    );
    return;
  }
  const at = files.findIndex(({ path }) => path === ADAPTER_CONFIG);
  const content = new Blob([await renameBaseModel(folder, baseModel)]);
  files[at] = { path: ADAPTER_CONFIG, content, bytes: content.size };
}

/** A file of the folder; not what a link in it may lead to elsewhere on this machine. */
async function pushed(folder: string, name: string): Promise<PushedFile> {
  const { path, problem } = await findRegularFile(`${folder}/${name}`, { root: folder });
  if (path === undefined) {
    throw new Error(`Cannot push ${folder}/${name}: it ${problem}; put the file itself there`);
  }
  const { size: bytes } = await Deno.stat(path);
  return { path: name, content: pathToFileURL(path), bytes };
}

/** The run that a checkpoint belongs to. */
async function runOf(
  checkpoint: string,
): Promise<{ folder: string; manifest: RunManifest } | undefined> {
  const folder = dirname(checkpoint);
  if (!await isFile(`${folder}/${RUN_MANIFEST}`)) return undefined;
  return { folder, manifest: await readManifest(`${folder}/${RUN_MANIFEST}`) };
}
