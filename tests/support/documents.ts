/**
 * The repository's Markdown files, and the shell commands in them. In: nothing. Out: texts by their
 * paths, and of a text its commands, word by word.
 */

import { repositoryPath } from "./run_script.ts";

/** Folders of what is made or fetched, not written. */
const MADE = new Set(["output", "models", "node_modules"]);

async function* markdownBelow(folder: string): AsyncGenerator<string, void, void> {
  for await (const { name, isDirectory } of Deno.readDir(repositoryPath(folder))) {
    const path = `${folder}${name}`;
    if (isDirectory && !name.startsWith(".") && !MADE.has(path)) yield* markdownBelow(`${path}/`);
    else if (name.endsWith(".md")) yield path;
  }
}

/** All Markdown files by their paths in the repository. */
export const documents: ReadonlyMap<string, string> = new Map(
  await Promise.all(
    (await Array.fromAsync(markdownBelow(""))).sort().map(async (path) =>
      [path, await Deno.readTextFile(repositoryPath(path))] as const
    ),
  ),
);

/** The READMEs and what users are led to from there. */
export const guides: readonly string[] = [...documents.keys()].filter((path) =>
  /^(README(\.\w+)?\.md|docs\/.*\.md)$/.test(path)
);

/** The text of a document. */
export function documentText(path: string): string {
  const text = documents.get(path);
  if (text === undefined) throw new Error(`There is no ${path}`);
  return text;
}

/** The text without fenced blocks and code between backticks. */
export function prose(text: string): string {
  return text.replace(/^```[^]*?^```$/gm, "").replace(/`[^`\n]*`/g, "");
}

/** A word of a command line: quoted, or up to the next blank. */
const WORD = /'[^']*'|"[^"]*"|\S+/g;

/**
 * The commands of the blocks that are fenced as `sh`: words without quotes, comments and variables
 * that are set before; `npx -y deno@VERSION` is `deno`.
 */
export function shellCommands(text: string): string[][] {
  const blocks = [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block);
  return blocks.flatMap((block) => block.replace(/\\\n/g, " ").split("\n")).flatMap((line) => {
    const commands: string[][] = [[]];
    for (const [word] of line.matchAll(WORD)) {
      if (word.startsWith("#")) break;
      if (["&&", "|", ";"].includes(word)) commands.push([]);
      else if (commands.at(-1)!.length > 0 || !/^\w+=/.test(word)) {
        commands.at(-1)!.push(word.replace(/^(['"])([^]*)\1$/, "$2"));
      }
    }
    return commands.filter((words) => words.length > 0).map((words) =>
      words[0] === "npx" && words[2].startsWith("deno@") ? ["deno", ...words.slice(3)] : words
    );
  });
}
