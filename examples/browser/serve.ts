/**
 * Serves the page, transformers.js and an export on this machine. In: `--model`, the folder that
 * `deno task export` wrote. Out: http://127.0.0.1:8080/. Nothing comes from anywhere else.
 *
 * `deno task example:browser --model output/export`
 *
 * @module
 */

import { port } from "../../cli/arguments/port.ts";
import { type CommandContext, runCommand } from "../../cli/process/run_command.ts";
import { HOSTNAME, servePage } from "../../cli/process/serve_page.ts";

interface ExampleFlags {
  readonly model: string;
  readonly port: number;
}

// Never called: it makes the two packages part of this program, so that Deno fetches them.
export const packages = (): Promise<unknown>[] => [
  import("@huggingface/transformers"),
  import("onnxruntime-web"),
];

/** What the page loads from npm's packages, by the path that it asks for. */
const PACKAGED: Readonly<Record<string, readonly [name: string, file: string]>> = {
  "/transformers.js": ["@huggingface/transformers", "transformers.min.js"],
  "/ort/ort-wasm-simd-threaded.asyncify.mjs": [
    "onnxruntime-web",
    "ort-wasm-simd-threaded.asyncify.mjs",
  ],
  "/ort/ort-wasm-simd-threaded.asyncify.wasm": [
    "onnxruntime-web",
    "ort-wasm-simd-threaded.asyncify.wasm",
  ],
};

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  json: "application/json",
  wasm: "application/wasm",
};

const HEADERS: Readonly<Record<string, string>> = {
  // The page may load from here and from nowhere else; ONNX Runtime starts its threads from a blob.
  "content-security-policy":
    "default-src 'self'; img-src data:; script-src 'self' blob: 'wasm-unsafe-eval'; " +
    "connect-src 'self' blob:; worker-src 'self' blob:",
  // Threads share memory only in a page that is apart from all others.
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "x-content-type-options": "nosniff",
};

// A file of the export or of its folder onnx, and no way out of it.
const MODEL_FILE = /^\/model\/((?:onnx\/)?\w[\w.-]*)$/;
const PAGE: Readonly<Record<string, string>> = {
  "/": "index.html",
  "/main.js": "main.js",
  "/style.css": "style.css",
};

async function body(path: string, directory: string): Promise<BodyInit | undefined> {
  if (Object.hasOwn(PACKAGED, path)) {
    const [name, file] = PACKAGED[path];
    // The package's own module lies in the same folder. An import may read Deno's cache of packages,
    // for which opening a file would need a permission.
    const url = new URL(file, import.meta.resolve(name)).href;
    return (await import(url, { with: { type: "bytes" } })).default;
  }
  const page = Object.hasOwn(PAGE, path) ? new URL(PAGE[path], import.meta.url) : undefined;
  const model = MODEL_FILE.exec(path);
  if (!page && !model) return undefined;
  try {
    return (await Deno.open(page ?? `${directory}/${model![1]}`)).readable;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
}

async function serve(
  { options: { model, port }, signal }: CommandContext<ExampleFlags>,
): Promise<void> {
  await assertExport(model);
  let own = "";
  const handler = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    // A page of another name must not reach this one through a name that resolves to this machine.
    if (request.headers.get("host") !== own) return new Response(null, { status: 403 });
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
    }
    const content = await body(pathname, model);
    if (content === undefined) return new Response(null, { status: 404 });
    const file = Object.hasOwn(PAGE, pathname) ? PAGE[pathname] : pathname;
    const type = TYPES[file.slice(file.lastIndexOf(".") + 1)] ?? "application/octet-stream";
    return new Response(content, { headers: { ...HEADERS, "content-type": type } });
  };
  await servePage(handler, {
    port,
    signal,
    onListen: (port) => {
      own = `${HOSTNAME}:${port}`;
      console.log(`http://${own}/ runs ${model}; Ctrl-C ends`);
    },
    failed: "Cannot read the file",
  });
}

/** Looks for what transformers.js loads a model by. */
async function assertExport(model: string): Promise<void> {
  let config = "";
  try {
    config = await Deno.readTextFile(`${model}/config.json`);
  } catch (cause) {
    const none = [Deno.errors.NotFound, Deno.errors.NotADirectory];
    if (!none.some((kind) => cause instanceof kind)) throw cause;
  }
  if (config.includes('"transformers.js_config"')) return;
  throw new Error(
    `Cannot serve ${model}: it is no export for transformers.js; make one with deno task export ` +
      "--model DIR --output-dir output/export",
  );
}

await runCommand<ExampleFlags>({
  name: "deno task example:browser",
  description: "Serves a page that runs an export in the browser, on this machine alone.",
  flags: (command) =>
    command
      .option("--model <dir>", "folder that deno task export wrote", "output/export")
      .option("--port <number>", "port on 127.0.0.1; 0 for any free one", port, 8080),
  run: serve,
});
