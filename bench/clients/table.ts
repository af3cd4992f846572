/** The table of docs/clients.md. In: a line a client. Out: the table between the marks of that file. */

import type { Client } from "./clients.ts";

/** What one comparison measured. */
export interface Check {
  readonly what: string;
  readonly passed: boolean;
  readonly measured: string;
  /** It is what the client cannot do, not what was compared. */
  readonly limit?: true;
}

/** What came of one client. */
export interface Line {
  readonly client: Client;
  readonly version: string;
  readonly outcome: "works" | "fails" | "missing";
  readonly checks: readonly Check[];
}

const HEADS: Readonly<Record<Client["of"], string>> = {
  files: "## Folders and files",
  server: "## The server",
  library: "## The library itself",
};
const [BEGIN, END] = ["<!-- made by bench/clients -->", "<!-- end -->"];

/** Puts the lines into docs/clients.md. */
export async function documentTable(lines: readonly Line[]): Promise<void> {
  const path = new URL("../../docs/clients.md", import.meta.url);
  const [before, rest] = (await Deno.readTextFile(path)).split(BEGIN);
  const [, after] = rest.split(END);
  const parts = Object.entries(HEADS).map(([of, head]) => {
    const rows = lines.filter(({ client }) => client.of === of).map((line) => row(line));
    return `${head}\n\n| client | version | how | measured |\n|---|---|---|---|\n${
      rows.join("\n")
    }`;
  });
  const date = new Date().toISOString().slice(0, 10);
  const works = lines.filter(({ outcome }) => outcome === "works").length;
  const said = `${date}: ${works} of ${lines.length} work.`;
  await Deno.writeTextFile(
    path,
    `${before}${BEGIN}\n\n${said}\n\n${parts.join("\n\n")}\n\n${END}${after}`,
  );
}

function row({ client, version, outcome, checks }: Line): string {
  const measured = checks.map(({ what, passed, limit, measured }) =>
    `${passed ? limit ? "**not " : "" : "**fails:** "}${what}${limit ? "**" : ""}: ${measured}`
  ).join("; ");
  const cells = [
    client.name,
    version,
    client.call,
    outcome === "missing" ? "missing here" : measured,
  ];
  return `| ${
    cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")
  } |`;
}
