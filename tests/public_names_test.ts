/** What the package offers: its entries, and every public name, so that a new one is a decision. */

import assert from "node:assert/strict";
import { repositoryPath } from "./support/run_script.ts";

/** Names that a newcomer can still read through. */
const MOST_IN_MAIN = 80;
const LISTED = repositoryPath("tests/fixtures/public_names.txt");

const { exports } = JSON.parse(await Deno.readTextFile(repositoryPath("deno.json")));
const entries = Object.entries<string>(exports).filter(([name]) => !name.startsWith("./cli/"));

/** The names that an entry gives, all of them spelled out. */
async function namesOf(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(repositoryPath(path));
  const code = text.replace(/\/\*\*[^]*?\*\//g, "");
  const namespaces = [...code.matchAll(/^export \* as (\w+) from/gm)].map(([, name]) => name);
  const lists = [...code.matchAll(/^export (?:type )?\{([^}]*)\} from/gm)];
  const names = lists.flatMap(([, list]) => list.split(","))
    .map((name) => name.trim().replace(/^type /, "")).filter(Boolean);
  const statements = [...code.matchAll(/^export /gm)].length;
  assert.equal(statements, lists.length + namespaces.length, `${path} exports in other words too`);
  return [...namespaces, ...names].sort();
}

Deno.test("the public names are those that are listed", async () => {
  const lines: string[] = [];
  for (const [entry, path] of entries) {
    lines.push(entry, ...(await namesOf(path)).map((name) => `  ${name}`));
  }
  const text = lines.join("\n") + "\n";
  // To take the names as they are: ORTUNE_UPDATE=1 deno test -A tests/public_names_test.ts
  if (Deno.env.get("ORTUNE_UPDATE")) await Deno.writeTextFile(LISTED, text);
  assert.deepEqual(text.split("\n"), (await Deno.readTextFile(LISTED)).split("\n"));
});

Deno.test("the main entry has at most 80 names, and no entry gives a name twice", async () => {
  const main = await namesOf(exports["."]);
  assert.ok(main.length <= MOST_IN_MAIN, `${main.length}`);
  for (const [entry, path] of entries) {
    const names = await namesOf(path);
    assert.equal(new Set(names).size, names.length, entry);
  }
});

Deno.test("whatever the main entry lets one call or read has an example", async () => {
  const main = await Deno.readTextFile(repositoryPath(exports["."]));
  const values = [...main.matchAll(/^export \{([^}]*)\} from "\.\/([^"]+)"/gm)]
    .flatMap(([, list, path]) =>
      list.split(",").map((name) => name.trim())
        .filter((name) => name !== "" && !name.startsWith("type ")).map((name) => ({ name, path }))
    );
  assert.ok(values.length > 30, `${values.length}`);
  const without: string[] = [];
  for (const { name, path } of values) {
    const source = await Deno.readTextFile(repositoryPath(path));
    const at = source.search(
      new RegExp(`^export (async )?(function\\*?|class|const) ${name}\\b`, "m"),
    );
    assert.ok(at > 0, `${path}: ${name}`);
    const doc = source.slice(source.lastIndexOf("/**", at), at);
    if (!doc.includes("@example")) without.push(name);
  }
  assert.deepEqual(without, []);
});

Deno.test("every entry is linted for documentation by deno task check", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(repositoryPath("deno.json")));
  const linted = /deno doc --lint (.+?)(?: &&|$)/.exec(tasks.check.command)![1].split(" ");
  assert.deepEqual(linted.toSorted(), entries.map(([, path]) => path.slice(2)).sort());
});
