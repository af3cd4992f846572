/** Folders import one way: each only those that stand below it. */

import assert from "node:assert/strict";

/** What each folder may import from, besides itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  files: [],
  json: ["files"],
  tensor: ["json", "files"],
  graph: ["tensor", "json", "files"],
  ort: ["tensor", "json", "files"],
  kernels: ["tensor", "json", "files"],
  tokenize: ["json"],
  data: ["tokenize", "tensor", "json", "files"],
  hub: ["tensor", "json", "files"],
  model: ["graph", "tensor", "json", "files"],
  engine: ["model", "graph", "ort", "kernels", "tensor", "json", "files"],
  lora: ["engine", "model", "graph", "ort", "tensor", "json", "files"],
  train: ["lora", "engine", "model", "data", "graph", "ort", "kernels", "tensor", "json", "files"],
  infer: ["lora", "engine", "model", "data", "graph", "ort", "tensor", "json", "files"],
  serve: ["infer", "lora", "engine", "model", "data", "graph", "ort", "tensor", "json", "files"],
  export: ["infer", "lora", "engine", "model", "data", "graph", "ort", "tensor", "json", "files"],
  track: ["tensor", "json", "files"],
  cli: [
    "serve",
    "export",
    "track",
    "infer",
    "train",
    "lora",
    "hub",
    "engine",
    "model",
    "data",
    "graph",
    "ort",
    "tensor",
    "json",
    "files",
  ],
  quickstart: ["cli", "track", "infer", "data", "model", "tensor", "json", "files"],
};

/** Type-only imports that may cross: the events a tracker shows are the trainer's. */
const TYPES_ALLOWED: Readonly<Record<string, readonly string[]>> = { track: ["train"] };

/** Tests may also use what is made for tests, and public modules of any folder. */
const TEST_ONLY = ["tests"];

interface Dependency {
  readonly specifier: string;
  readonly code?: { readonly specifier: string };
  readonly type?: { readonly specifier: string };
}

interface Info {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly Dependency[];
  }[];
}

const root = new URL("../", import.meta.url).href;

async function sources(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(new URL(folder, root))) {
    if (entry.isFile && entry.name.endsWith(".ts")) paths.push(`${folder}/${entry.name}`);
  }
  return paths;
}

async function importGraph(paths: readonly string[]): Promise<Info> {
  // One throw-away entry that imports all, so that one call answers for every module.
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(entry, paths.map((path) => `import "${root}${path}";`).join("\n"));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--config", new URL("deno.json", root).pathname, entry],
  }).output();
  await Deno.remove(entry);
  return JSON.parse(new TextDecoder().decode(stdout));
}

function folderOf(specifier: string): string | undefined {
  return specifier.startsWith(root) ? specifier.slice(root.length).split("/")[0] : undefined;
}

Deno.test("folders import only the folders below them", async () => {
  const paths = (await Promise.all(Object.keys(ALLOWED).map(sources))).flat();
  assert.ok(paths.length > 50, `only ${paths.length} modules found`);
  const { modules } = await importGraph(paths);
  const wrong: string[] = [];
  let checked = 0;
  for (const { specifier, dependencies = [] } of modules) {
    const from = folderOf(specifier);
    if (from === undefined || !(from in ALLOWED)) continue;
    const isTest = specifier.endsWith("_test.ts");
    for (const { code, type } of dependencies) {
      for (const [kind, resolved] of [["code", code], ["type", type]] as const) {
        const to = resolved && folderOf(resolved.specifier);
        if (!to || to === from || to.endsWith(".ts") || to === "deno.json") continue;
        checked++;
        const allowed = [
          ...ALLOWED[from],
          ...(kind === "type" ? TYPES_ALLOWED[from] ?? [] : []),
          ...(isTest ? TEST_ONLY : []),
        ];
        if (!allowed.includes(to)) wrong.push(`${specifier.slice(root.length)} imports ${to}/`);
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(checked > 50, `only ${checked} imports between folders were checked`);
});
