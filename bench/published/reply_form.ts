/**
 * Whether a reply has the form that the records teach. In: the reply's whole text and why it ended.
 * Out: what is wrong with it, nothing where nothing is.
 */

import type { FinishReason } from "../../infer/generate/generation.ts";

const OPEN = "<think>";
const CLOSE = "</think>";

/** Faults of a reply that should be `<think>…</think>` and an answer, and end by itself. */
export function formFaults(text: string, finishReason: FinishReason | undefined): string[] {
  const faults: string[] = [];
  const opened = text.trimStart().startsWith(OPEN);
  if (!opened) faults.push("does not open with <think>");
  if (text.split(OPEN).length > 2) faults.push("opens the thinking twice");
  const parts = text.split(CLOSE);
  if (parts.length !== 2) faults.push(`closes the thinking ${parts.length - 1} times`);
  if (opened && parts[0].trim() === OPEN) faults.push("has no thinking");
  if (parts.at(-1)!.trim() === "") faults.push("has no answer");
  if (finishReason !== "eos") faults.push("does not end by itself");
  return faults;
}
