/**
 * The library in Node and Bun: a clone with the packages that docs/library.md installs, and what
 * `without_native.ts` answers there.
 */

import { writeQuickstartModel } from "../../examples/quickstart/quickstart_model.ts";
import { writeQuickstartData } from "../../examples/quickstart/write_dataset.ts";
import { repositoryPath } from "./run_script.ts";
import { tempFolder } from "./temp_folder.ts";

/** Rooms that need no native library, and the program. */
const SOURCES = ["data", "internal", "lora", "model", "ort", "tests/support/without_native.ts"];
const PACKAGES = ["@huggingface/tokenizers", "@bufbuild/protobuf"];

/** The version that a program prints of itself, such as `[22, 18, 0]`, or nothing where it is missing. */
export async function runtimeVersion(program: string): Promise<readonly number[] | undefined> {
  try {
    const { stdout } = await new Deno.Command(program, { args: ["--version"] }).output();
    return new TextDecoder().decode(stdout).trim().replace(/^v/, "").split(".").map(Number);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
}

/** Copies the sources to a folder and puts the packages of deno.json into its node_modules. */
export async function cloneWithPackages(folder: string): Promise<void> {
  for (const source of SOURCES) await copySources(source, folder);
  await copySources("deno.json", folder);
  await copySources("tsconfig.json", folder);
  const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(info.stdout));
  const { imports } = JSON.parse(await Deno.readTextFile(repositoryPath("deno.json")));
  for (const name of PACKAGES) {
    const version = imports[name].slice(`npm:${name}@`.length);
    const link = `${folder}/node_modules/${name}`;
    await Deno.mkdir(link.slice(0, link.lastIndexOf("/")), { recursive: true });
    await Deno.symlink(`${npmCache}/registry.npmjs.org/${name}/${version}`, link);
  }
}

async function copySources(path: string, folder: string): Promise<void> {
  const from = repositoryPath(path);
  if ((await Deno.stat(from)).isFile) {
    await Deno.mkdir(`${folder}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    return await Deno.copyFile(from, `${folder}/${path}`);
  }
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory || name.endsWith(".ts")) await copySources(`${path}/${name}`, folder);
  }
}

/** Writes what the program reads: a model, rows and an adapter's settings. */
export async function writeWithoutNative(folder: string): Promise<void> {
  await writeQuickstartModel(`${folder}/model`, 1);
  await writeQuickstartData(folder);
  const adapter = repositoryPath("tests/fixtures/adapters/patterns/adapter/adapter_config.json");
  await Deno.copyFile(adapter, `${folder}/adapter_config.json`);
  await Deno.mkdir(`${folder}/out`, { recursive: true });
}

/** Runs `without_native.ts` in another runtime; its facts. */
export async function factsOf(
  program: string,
  flags: readonly string[],
): Promise<Record<string, unknown>> {
  await using clone = await tempFolder();
  await cloneWithPackages(clone.path);
  await using given = await tempFolder();
  await writeWithoutNative(given.path);
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...flags, `${clone.path}/tests/support/without_native.ts`, given.path],
    cwd: clone.path,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${text(stderr)}`);
  return JSON.parse(text(stdout));
}
