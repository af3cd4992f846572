/**
 * Whether files are worked on one after another. In: what works on files. Out: nothing, or an error where something begins
 * before what came before is done, or is not done at the end.
 */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { withDeno } from "./with_deno.ts";

type Call = (...args: never[]) => Promise<unknown>;

/** Functions that are let take their time. */
const NAMES = ["rename", "remove", "mkdir", "writeTextFile", "copyFile", "open"] as const;

/** Runs with slow functions of files, of which each must be waited for. */
export async function oneAtATime(run: () => Promise<unknown>): Promise<void> {
  let under: string | undefined;
  const early: string[] = [];
  const slow = (name: string, call: Call): Call => async (...args) => {
    if (under !== undefined) early.push(`${name} while ${under} is under way`);
    under = name;
    try {
      return await call(...args);
    } finally {
      await delay(2);
      under = undefined;
    }
  };
  const functions = Object.fromEntries(NAMES.map((name) => [name, slow(name, Deno[name] as Call)]));
  const { open } = functions as { readonly open: typeof Deno.open };
  await withDeno({
    ...functions,
    open: async (...args: Parameters<typeof Deno.open>) => {
      const file = await open(...args);
      const sync = slow("sync", () => Deno.FsFile.prototype.sync.call(file));
      return Object.assign(file, { sync });
    },
  }, async () => {
    await run();
    if (under !== undefined) early.push(`the end while ${under} is under way`);
    await delay(10);
  });
  assert.deepEqual(early, []);
}
