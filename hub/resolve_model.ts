/**
 * A model or an adapter from a hub, as a folder.
 *
 * In: an id such as `Qwen/Qwen3-0.6B`, and where to fetch it from. Out: a folder with config,
 * tokenizer and safetensors, each file whole and checked.
 *
 * @module
 */

import { HubError } from "./hub_error.ts";
import type { HubOptions } from "./hub_options.ts";
import { syncRepository } from "./sync_repository.ts";

/** What a model or an adapter needs here; weights in other formats, images and the like are left out. */
const NEEDED: ReadonlySet<string> = new Set([
  "config.json",
  "adapter_config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
  "chat_template.jinja",
  "chat_template.json",
  "model.safetensors.index.json",
  // Of ortune's own: how it was taught to chat, and what an adapter's base was rounded to.
  "chat_settings.json",
  "training_args.json",
]);
/** Of which one must be there: a model's, or an adapter's as PEFT writes it. */
const CONFIGS = ["config.json", "adapter_config.json"];
/** Mistral's own format comes beside Hugging Face's, as large again. */
const WEIGHTS = /^(?!consolidated)[^/]+\.safetensors$/;

/** Options of {@linkcode resolveModel}. */
export interface ResolveModelOptions extends HubOptions {
  /** Picks files by their path. @default config, tokenizer, templates and root safetensors */
  readonly select?: (path: string) => boolean;
}

/** Whether a model or an adapter needs a file. */
export function isModelFile(path: string): boolean {
  return NEEDED.has(path) || WEIGHTS.test(path);
}

/**
 * Fetches a model or an adapter, or finds it in the cache.
 *
 * What is here and unchanged is not fetched again; an interrupted download goes on where it ended.
 * Processes that fetch the same model take turns. Files that are not the hub's are never replaced.
 *
 * Needs `--allow-net` for the hub and the hosts it redirects to, and `--allow-read` and
 * `--allow-write` for `cacheDir`; offline only `--allow-read`.
 *
 * @param id `owner/name`.
 * @returns the folder, `{cacheDir}/{owner}/{name}`.
 * @throws {TypeError} if id, revision, endpoint or token are not well-formed.
 * @throws {HubError} if a file cannot be had; what is in the folder stays good.
 *
 * @example
 * ```ts
 * import { resolveModel } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * await assert.rejects(
 *   resolveModel("Qwen/Qwen3-0.6B", {
 *     source: "huggingface",
 *     cacheDir: "no/such/folder",
 *     offline: true,
 *   }),
 *   /no complete copy/,
 * );
 * ```
 */
export function resolveModel(id: string, options: ResolveModelOptions): Promise<string> {
  const { select = isModelFile } = options;
  return syncRepository(id, {
    kind: "model",
    isComplete: ({ complete }) => complete,
    select: (files, host) => {
      const needed = files.filter(({ path }) => select(path));
      if (options.select !== undefined && needed.length > 0) return needed;
      const missing = options.select !== undefined
        ? "no file that was asked for"
        : !CONFIGS.some((name) => needed.some(({ path }) => path === name))
        ? "no config.json, nor an adapter's adapter_config.json"
        : !needed.some(({ path }) => WEIGHTS.test(path))
        ? "no .safetensors weights"
        : undefined;
      if (missing === undefined) return needed;
      throw new HubError(
        `Cannot fetch ${id} from ${host}: it has ${missing}. Choose a model with config.json and ` +
          "safetensors, the format of Hugging Face's transformers",
        { host },
      );
    },
  }, options);
}
