/** The browser of tests that need one. Out: the name of its program, or undefined where none is. */

import { canRun } from "./can_run.ts";

/** Chromium's program. */
export const CHROMIUM: string | undefined = await findChromium();

async function findChromium(): Promise<string | undefined> {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    if (await canRun(name, ["--version"])) return name;
  }
  return undefined;
}
