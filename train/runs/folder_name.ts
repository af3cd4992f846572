/** What a model is called. In: its folder's path. Out: a name for people and requests. */

/** `Qwen3-0.6B` of a path to it; of a checkpoint its run's folder too, as `lora/checkpoint-400`. */
export function folderName(path: string): string {
  const parts = path.split(/[/\\]+/).filter((part) => part !== "" && part !== ".");
  return parts.slice(/^checkpoint-\d+$/.test(parts.at(-1) ?? "") ? -2 : -1).join("/") || "model";
}
