/** The browser of tests that need one. Out: its program, by name and by path, or undefined where none is. */

import { canRun } from "./can_run.ts";

/** Chromium's program. */
export const CHROMIUM: string | undefined = await findChromium();

/** Where the browser's program lies, as playwright wants it. @throws {Error} where there is none */
export async function chromiumPath(): Promise<string> {
  if (CHROMIUM === undefined) throw new Error("Cannot open a page: chromium is not installed");
  const { stdout } = await new Deno.Command("which", { args: [CHROMIUM] }).output();
  return new TextDecoder().decode(stdout).trim();
}

async function findChromium(): Promise<string | undefined> {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    if (await canRun(name, ["--version"])) return name;
  }
  return undefined;
}
