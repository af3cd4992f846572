/** What the documents name is there: tasks, flags, commands, files, anchors, folders, dependencies. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path/posix";
import { Command } from "commander";
import { CLIENTS } from "../bench/clients/clients.ts";
import { addLoraFlags } from "../cli/arguments/lora_flags.ts";
import { addTrainingFlags } from "../cli/arguments/training_flags.ts";
import { documents, documentText, guides, prose, shellCommands } from "./support/documents.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";
import { runTask, tasks } from "./support/run_task.ts";
import { tempFolder } from "./support/temp_folder.ts";

const READMES = ["README.md", "README.zh.md"];
/** What a README may have, so that it is read. */
const MOST_LINES = 180;
/** Programs in commands that are not this repository's. */
const PROGRAMS =
  /^(alias|apt|bash|cd|curl|jupyter|lm_eval|mpirun|ollama|pip|python|srun|tar|unzip|xz)$/;

const config = JSON.parse(await Deno.readTextFile(repositoryPath("deno.json")));
/** Rooms of the library and folders beside them. */
const ROOMS: readonly string[] = [
  ...(config.publish.include as string[]).filter((each) => /^[a-z]+$/.test(each)),
  "examples",
];
const FOLDERS = new Set([...ROOMS, "tests", "bench", "docs"]);

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(repositoryPath(path));
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw cause;
  }
}

/** Those of the paths that are not there. */
async function missing(paths: Iterable<string>): Promise<string[]> {
  const found = await Promise.all(
    [...new Set(paths)].map(async (path) => await exists(path) ? [] : [path]),
  );
  return found.flat();
}

/** Anchors of a document, as GitHub makes them of its headings. */
function anchors(text: string): Set<string> {
  const seen = new Map<string, number>();
  const headings = text.replace(/^```[^]*?^```$/gm, "").matchAll(/^#+ +(.+)$/gm);
  return new Set(
    [...headings].map(([, heading]) => {
      const slug = heading.replace(/\]\([^)]*\)/g, "").toLowerCase()
        .replace(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, "").replaceAll(" ", "-");
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count === 0 ? slug : `${slug}-${count}`;
    }),
  );
}

for (const name of READMES) {
  const text = documentText(name);

  Deno.test(`${name} has at most ${MOST_LINES} lines`, () => {
    const lines = text.trimEnd().split("\n").length;
    assert.ok(lines <= MOST_LINES, `${lines}`);
  });

  Deno.test(`${name} names every task that users run`, () => {
    const named = tasksIn(text);
    const own = Object.keys(tasks).filter((task) => !/^(test|mutate|bench|check|ok)/.test(task));
    assert.deepEqual(own.filter((task) => !named.has(task)), []);
  });

  Deno.test(`${name} gives a line to every dependency`, () => {
    const table = text.split("\n").filter((line) => line.startsWith("| ")).join("\n");
    assert.deepEqual(Object.keys(config.imports).filter((name) => !table.includes(name)), []);
  });

  Deno.test(`${name} leads to every guide in its language`, () => {
    const chinese = name.includes(".zh");
    const others = guides.filter((path) => path.startsWith("docs/"));
    const own = others.filter((path) => chinese || !path.includes(".zh"));
    assert.ok(own.length > 8);
    assert.deepEqual(own.filter((path) => !text.includes(`](${path})`)), []);
  });
}

/** A line without its figures, which differ from machine to machine and from run to run. */
function shape(line: string): string {
  return line.replace(/\d[\d.,]*(e-\d+)?/g, "#").replace(/\b[KMG]iB\b/g, "iB")
    .replace(/ \| best so far$/, "");
}

Deno.test("the READMEs show the quickstart's output as it is printed", async () => {
  await using folder = await tempFolder();
  const options = "--num-train-epochs 3 --threads 2";
  const { code, stdout, stderr } = await runTask("quickstart", folder.path, options);
  assert.equal(code, 0, stderr);
  const printed = new Set(`${stderr}\n${stdout}`.split("\n").map(shape));
  for (const name of READMES) {
    const block = documentText(name).match(/^```\n(wrote [^]*?)^```$/m)?.[1] ?? "";
    // The reply is that of all 30 epochs.
    const [progress, , rest] = block.split(/^(医生，[^]*word for word\.\n)/m);
    const shown = `${progress}${rest}`.split("\n").filter((line) => line !== "" && line !== "…");
    assert.ok(shown.length >= 12, block);
    assert.deepEqual(shown.filter((line) => !printed.has(shape(line))), [], name);
  }
});

/** Tasks that are named, in commands or in a sentence. */
function tasksIn(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/(?:deno|deno@[\d.]+) task ([a-z][\w:]*)/g)].map(([, task]) => task),
  );
}

Deno.test("llms.txt leads to files that there are, and to every guide", async () => {
  const text = await Deno.readTextFile(repositoryPath("llms.txt"));
  const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => path);
  assert.deepEqual(await missing(links), []);
  const own = guides.filter((path) => !path.includes(".zh"));
  assert.deepEqual(own.filter((path) => !links.includes(path)), []);
});

Deno.test("documents name tasks that there are", () => {
  for (const [path, text] of documents) {
    if (path === "CHANGELOG.md" || path === "bench/RESULTS.md") continue; // of their time
    assert.deepEqual([...tasksIn(text)].filter((task) => !(task in tasks)), [], path);
  }
});

for (const names of [["docs/train.md", "docs/lora.md"], ["docs/commands.zh.md"]]) {
  Deno.test(`${names.join(" and ")} list flags of training that there are, and all of them`, () => {
    const training = new Command();
    addTrainingFlags(training);
    addLoraFlags(training);
    const flags = training.options.map(({ long }) => long!);
    const text = names.map(documentText).join("\n");
    const start = text.indexOf("| `--train-file");
    const rows = text.slice(text.lastIndexOf("\n|---|---|\n", start), text.indexOf("\n\n", start));
    const listed = [...rows.matchAll(/--[a-z][a-z0-9-]*/g)].map(([flag]) => flag);
    assert.ok(listed.length > 30);
    assert.deepEqual(listed.filter((flag) => !flags.includes(flag)), []);
    assert.deepEqual(flags.filter((flag) => !text.includes(flag)), []);
    const lora = new Command();
    addLoraFlags(lora);
    const adapters = new Set(lora.options.map(({ long }) => long));
    const own = flags.filter((flag) => !adapters.has(flag));
    assert.deepEqual(own.filter((flag) => !listed.includes(flag)), []);
  });
}

for (const name of ["docs/serve.md", "docs/commands.zh.md"]) {
  Deno.test(`${name} serves beyond this machine with the task's permissions but the network's`, () => {
    const served = /deno run (--allow-net=0\.0\.0\.0[^`]*?)cli\/commands\/serve\.ts/;
    const [, command] = served.exec(documentText(name))!;
    const permissions = (words: string): string[] =>
      [...words.matchAll(/--allow-(?!net)\S+/g)].map(([flag]) => flag);
    assert.deepEqual(permissions(command), permissions(tasks.serve));
  });
}

Deno.test("commands in documents are tasks, files of this repository or known programs", async () => {
  let checked = 0;
  for (const path of documents.keys()) {
    if (path.startsWith("tests/fixtures/")) continue; // run in their own folders
    for (const words of shellCommands(documentText(path))) {
      const [program, verb, ...rest] = words;
      const what = `${path}: ${words.join(" ")}`;
      checked++;
      if (program !== "deno") {
        assert.match(program, PROGRAMS, what);
        continue;
      }
      if (verb === "task") {
        assert.ok(rest[0] in tasks, what);
      } else if (verb === "run" || verb === "test") {
        const script = rest.find((word) => !word.startsWith("-"));
        assert.ok(script !== undefined && await exists(script), what);
      } else assert.ok(["fmt", "install", "jupyter"].includes(verb), what);
    }
  }
  assert.ok(checked > 60, `${checked}`);
});

Deno.test("docs/clients.md has what was measured of every client", () => {
  const rows = [...documentText("docs/clients.md").matchAll(/^\| (.+?) \| .+ \| .+ \| (.+) \|$/gm)];
  const measured = new Map(rows.map(([, name, what]) => [name, what]));
  for (const { name } of CLIENTS) assert.match(measured.get(name) ?? "nothing", /\d|equal/, name);
});

Deno.test("links in documents lead to files and headings that there are", async () => {
  let checked = 0;
  for (const [path, text] of documents) {
    const links = [...prose(text).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link]) => link);
    for (const link of links) {
      const [file, anchor] = link.split("#");
      const target = file === "" ? path : join(dirname(path), file);
      assert.ok(await exists(target), `${path}: ${link}`);
      if (anchor !== undefined) {
        const known = anchors(documentText(target));
        assert.ok(known.has(decodeURIComponent(anchor)), `${path}: ${link}: ${[...known].join()}`);
      }
      checked++;
    }
  }
  assert.ok(checked > 60, `${checked}`);
});

Deno.test("documents name sources and folders of the code that there are", async () => {
  for (const [path, text] of documents) {
    if (path === "CHANGELOG.md" || path === "bench/RESULTS.md") continue; // of their time
    const spans = [...text.matchAll(/`([\w.-]+(?:\/[\w.-]*)+)`/g)].map(([, span]) => span);
    const sources = spans.filter((span) =>
      FOLDERS.has(span.split("/")[0]) && /(\.(ts|js|py)|\/)$/.test(span)
    );
    assert.deepEqual(await missing(sources), [], path);
  }
});

Deno.test("ARCHITECTURE.md names files that there are, and in them what it says", async () => {
  const text = documentText("ARCHITECTURE.md");
  assert.ok(text.split("\n").length <= 250);
  // Rows of the rooms name folders inside the room.
  const outside = text.replace(/^\| `\w+\/` \|.*$/gm, "");
  const paths = [...outside.matchAll(/`([\w.-]+(?:\/[\w.-]*)+)`/g)].map(([, path]) => path);
  assert.ok(paths.length > 80, `${paths.length}`);
  assert.deepEqual(await missing(paths), []);
  const stops = [...text.matchAll(/`([\w.]+)`\s+\(`([\w/]+\.ts)`/g)];
  assert.ok(stops.length > 25, `${stops.length}`);
  for (const [, name, path] of stops) {
    const source = await Deno.readTextFile(repositoryPath(path));
    for (const part of name.split(".")) {
      assert.match(source, new RegExp(`\\b${part}\\b`), `${name} in ${path}`);
    }
  }
});

Deno.test("ARCHITECTURE.md gives a line to every room, and a name to each of its folders", async () => {
  const text = documentText("ARCHITECTURE.md");
  assert.ok(ROOMS.length > 8, ROOMS.join());
  for (const room of ROOMS) {
    const line = text.split("\n").find((each) => each.startsWith(`| \`${room}/\` |`));
    assert.ok(line, room);
    for await (const { name, isDirectory } of Deno.readDir(repositoryPath(room))) {
      if (isDirectory) assert.ok(line.includes(`\`${name}/\``), `${room}/${name}`);
    }
  }
});

Deno.test("TypeScript in the guides passes the type checker", async () => {
  const written = guides.filter((path) => /^```ts$/m.test(documentText(path)));
  assert.ok(written.includes("README.md") && written.includes("README.zh.md"));
  const { code, stderr } = await runDeno(
    ["check", "--doc-only", ...written],
    repositoryPath(""),
  );
  assert.equal(code, 0, stderr);
});
