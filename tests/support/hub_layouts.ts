/** Data sets of 30 layouts: their files, and what the Python package datasets takes of them. */

import { repositoryPath } from "./run_script.ts";

/** A data set, and what the Python package datasets takes of it. */
export interface Layout {
  readonly name: string;
  readonly files: readonly string[];
  readonly readme: string | null;
  readonly taken: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

/** Name of the repository. */
export const ID = "owner/repository";
/** All layouts. */
export const layouts: readonly Layout[] = JSON.parse(
  await Deno.readTextFile(repositoryPath("tests/fixtures/hub_layouts/layouts.json")),
);

/** Files by path, each with its path in its only row. */
export function content(
  files: readonly string[],
  readme: string | null = null,
): Readonly<Record<string, string>> {
  return {
    ...Object.fromEntries(files.map((path) => [path, `{"path": ${JSON.stringify(path)}}\n`])),
    ...readme === null ? {} : { "README.md": readme },
  };
}
