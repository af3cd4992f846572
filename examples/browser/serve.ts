/**
 * Serves the page, transformers.js and an export on this machine. In: `--model`, the folder that
 * `deno task export` wrote. Out: http://127.0.0.1:8080/. Nothing comes from anywhere else.
 *
 * `deno task example:browser --model output/export`
 *
 * @module
 */

import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "output/export" },
    port: { type: "string", default: "8080" },
  },
});

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
  "content-security-policy": "default-src 'self'; script-src 'self' blob: 'wasm-unsafe-eval'; " +
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

async function body(path: string): Promise<BodyInit | undefined> {
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
    return (await Deno.open(page ?? `${values.model}/${model![1]}`)).readable;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
}

const hostname = "127.0.0.1";
const server = Deno.serve({
  hostname,
  port: Number(values.port),
  onListen: ({ port }) => console.log(`${values.model} at http://${hostname}:${port}/`),
}, async (request) => {
  const { pathname, host } = new URL(request.url);
  // A page of another name must not reach this one through a name that resolves to this machine.
  if (host !== `${hostname}:${server.addr.port}`) return new Response(null, { status: 403 });
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
  }
  const content = await body(pathname);
  if (content === undefined) return new Response(null, { status: 404 });
  const file = Object.hasOwn(PAGE, pathname) ? PAGE[pathname] : pathname;
  const type = TYPES[file.slice(file.lastIndexOf(".") + 1)] ?? "application/octet-stream";
  return new Response(content, { headers: { ...HEADERS, "content-type": type } });
});
