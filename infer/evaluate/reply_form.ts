/**
 * Whether a reply has the form that think/answer records teach. In: the reply's whole text and why it ended.
 * Out: what is wrong with it, nothing where nothing is.
 */

import { CLOSE_THINK, OPEN_THINK } from "../../data/text/thinking.ts";
import type { FinishReason } from "../generate/generation.ts";

/** Faults of a reply that should be `<think>…</think>` and an answer, and end by itself. */
export function formFaults(text: string, finishReason: FinishReason | undefined): string[] {
  const faults: string[] = [];
  const opened = text.trimStart().startsWith(OPEN_THINK);
  if (!opened) faults.push("does not open with <think>");
  if (text.split(OPEN_THINK).length > 2) faults.push("opens the thinking twice");
  const parts = text.split(CLOSE_THINK);
  if (parts.length !== 2) faults.push(`closes the thinking ${parts.length - 1} times`);
  if (opened && parts[0].trim() === OPEN_THINK) faults.push("has no thinking");
  if (parts.at(-1)!.trim() === "") faults.push("has no answer");
  if (finishReason !== "eos") faults.push("does not end by itself");
  return faults;
}
