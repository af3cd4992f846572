/** Rooms import one way, so do the folders inside them, and no files import each other in a circle. */

import assert from "node:assert/strict";

/** What a room's files at its top stand on; `mod.ts`, which names what is public, may import all. */
const TOP = ".";

/** What each room may import from, besides itself. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  internal: [],
  ort: ["internal"],
  data: ["ort", "internal"],
  hub: ["ort", "internal"],
  comm: ["internal"],
  gguf: ["ort", "internal"],
  model: ["ort", "internal"],
  lora: ["model", "ort", "internal"],
  infer: ["lora", "model", "data", "gguf", "ort", "internal"],
  train: ["infer", "lora", "model", "data", "comm", "gguf", "ort", "internal"],
  cli: ["train", "infer", "lora", "model", "data", "hub", "comm", "gguf", "ort", "internal"],
  examples: [
    ...["cli", "train", "infer", "lora", "model", "data", "hub", "comm", "gguf"],
    ...["ort", "internal"],
  ],
};

/** What each folder of a room may import from in that room, besides itself. */
const FLOORS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  internal: { json: [TOP], [TOP]: [] },
  comm: { nccl: [TOP], [TOP]: [] },
  ort: {
    tensor: [],
    graph: ["tensor"],
    runtime: ["tensor"],
    kernels: ["tensor"],
  },
  data: {
    text: [],
    records: ["text"],
    examples: ["records", "text"],
    batches: ["examples"],
  },
  model: {
    parts: [],
    families: ["parts"],
    [TOP]: ["families", "parts"],
    weights: [TOP, "parts"],
    graphs: [TOP, "families", "parts"],
    engine: ["graphs", "weights", TOP, "parts"],
  },
  infer: {
    sampling: [],
    generate: ["sampling"],
    chat: ["generate", "sampling"],
    constrain: ["sampling"],
    evaluate: ["chat", "generate", "sampling"],
    serve: ["chat", "generate", "sampling", "constrain"],
    export: ["generate"],
    gguf: ["export", "generate"],
  },
  train: {
    [TOP]: [],
    track: [TOP],
    schedules: [TOP],
    objectives: [TOP],
    distributed: [TOP],
    optimizers: ["distributed", TOP],
    checkpoints: [TOP],
    trainers: ["optimizers", "objectives", "checkpoints", "distributed", TOP],
    loop: ["checkpoints", "distributed", TOP],
    runs: [
      ...["track", "loop", "trainers", "optimizers", "schedules", "objectives", "checkpoints"],
      ...["distributed", TOP],
    ],
  },
  cli: {
    terminal: [],
    arguments: [],
    process: [],
    data_report: ["terminal"],
    eval_report: ["terminal"],
    export_report: ["eval_report", "terminal"],
    commands: [
      ...["data_report", "eval_report", "export_report", "process", "arguments", "terminal"],
    ],
  },
};

interface Dependency {
  readonly code?: { readonly specifier: string };
  readonly type?: { readonly specifier: string };
}

/** Each module of the rooms by its path, with what it imports, types too. */
type Imports = ReadonlyMap<string, readonly string[]>;

const root = new URL("../", import.meta.url).href;

async function* sources(folder: string): AsyncGenerator<string, void, void> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(new URL(folder, root))) {
    const path = `${folder}/${name}`;
    if (isDirectory && path !== "examples/browser") yield* sources(path);
    if (isFile && name.endsWith(".ts")) yield path;
  }
}

async function readImports(): Promise<Imports> {
  const rooms = await Promise.all(Object.keys(ROOMS).map((room) => Array.fromAsync(sources(room))));
  // One throw-away entry that imports all, so that one call answers for every module.
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  const lines = rooms.flat().map((path) => `import "${root}${path}";`);
  await Deno.writeTextFile(entry, lines.join("\n"));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--config", new URL("deno.json", root).pathname, entry],
  }).output();
  await Deno.remove(entry);
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: readonly { specifier: string; dependencies?: readonly Dependency[] }[];
  };
  const own = modules.filter(({ specifier }) => specifier.startsWith(root));
  return new Map(own.map(({ specifier, dependencies = [] }) => {
    const imported = dependencies.flatMap(({ code, type }) => [code, type])
      .flatMap((to) => to?.specifier.startsWith(root) ? [to.specifier.slice(root.length)] : []);
    return [specifier.slice(root.length), [...new Set(imported)]];
  }));
}

const imports = await readImports();

/** The room of a file, and its folder in that room. */
function placeOf(path: string): { readonly room: string; readonly floor: string } {
  const [room, floor, file] = path.split("/");
  return { room, floor: file === undefined ? TOP : floor };
}

/** All imports between files of the rooms; tests may also use what is made for tests. */
function* crossings(): Generator<readonly [from: string, to: string], void, void> {
  for (const [from, all] of imports) {
    if (!(placeOf(from).room in ROOMS)) continue;
    for (const to of all) {
      const isForTests = from.endsWith("_test.ts") && to.startsWith("tests/");
      if (to !== "deno.json" && to !== "mod.ts" && !isForTests) yield [from, to];
    }
  }
}

Deno.test("rooms import only the rooms below them", () => {
  let checked = 0;
  const wrong = [...crossings()].filter(([from, to]) => {
    const [room, other] = [placeOf(from).room, placeOf(to).room];
    checked += Number(room !== other);
    return room !== other && !ROOMS[room].includes(other);
  });
  assert.deepEqual(wrong.map((pair) => pair.join(" imports ")), []);
  assert.ok(checked > 50, `only ${checked} imports between rooms were checked`);
});

Deno.test("folders of a room import only the folders below them", () => {
  let checked = 0;
  const wrong = [...crossings()].filter(([from, to]) => {
    const [{ room, floor }, other] = [placeOf(from), placeOf(to)];
    if (room !== other.room || floor === other.floor || !(room in FLOORS)) return false;
    if (from === `${room}/mod.ts` || from.endsWith("_test.ts")) return false;
    checked++;
    return !FLOORS[room][floor]?.includes(other.floor);
  });
  assert.deepEqual(wrong.map((pair) => pair.join(" imports ")), []);
  assert.ok(checked > 50, `only ${checked} imports between folders were checked`);
});

Deno.test("no files import each other in a circle", () => {
  const circles = findCircles(imports);
  assert.deepEqual(circles.map((files) => files.sort().join(" ")), []);
  const chain = new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]], ["d", ["a"]]]);
  assert.deepEqual(findCircles(chain).map((files) => files.sort()), [["b", "c"]]);
});

/** Longer helpers with one caller may stand alone. */
const HELPER_LINES = 30;

Deno.test("a short helper that one file alone calls stands in that file", async () => {
  const users = new Map<string, string[]>();
  for (const [from, all] of imports) {
    for (const to of all) users.set(to, [...users.get(to) ?? [], from]);
  }
  let checked = 0;
  const alone: string[] = [];
  for (const [file, from] of users) {
    // A public name has callers elsewhere, and a helper with a test of its own is a thing of its own.
    if (from.length > 1 || from[0].endsWith("mod.ts") || file.endsWith("mod.ts")) continue;
    if (!(placeOf(file).room in ROOMS)) continue;
    const text = await Deno.readTextFile(new URL(file, root));
    const [lines, functions] = [/\n/g, /^export (async )?function/gm].map((pattern) =>
      text.match(pattern)?.length ?? 0
    );
    checked++;
    if (lines < HELPER_LINES && functions === 1) alone.push(`${file} (only ${from[0]} calls it)`);
  }
  assert.deepEqual(alone, []);
  assert.ok(checked > 50, `only ${checked} files with one caller were checked`);
});

/** Groups of files of which each leads to every other: Tarjan 1972, SIAM J. Comput. 1(2). */
function findCircles(graph: Imports): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    lowest.set(file, order.get(file)!);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(next)!));
    }
    if (lowest.get(file) !== order.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) circles.push(circle);
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return circles;
}
