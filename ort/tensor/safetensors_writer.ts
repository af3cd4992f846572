/**
 * Writes safetensors files from any TensorSource, byte for byte as the Rust crate lays them out.
 *
 * In: a source and a path or folder. Out: the files, with their lengths and SHA-256 sums. Memory is
 * bounded by one chunk, whatever the tensors' sizes.
 *
 * @module
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type DType, safetensorsName } from "./dtype.ts";
import { FileWriter, type WrittenBytes } from "./file_writer.ts";
import { maxSafetensorsHeaderBytes, maxSafetensorsTensors } from "./safetensors_header.ts";
import { quoteName, quoteNames } from "./tensor_errors.ts";
import { tensorBytes, type TensorInfo, type TensorSource } from "./tensor_source.ts";

/** Options of {@linkcode writeSafetensors}. */
export interface WriteSafetensorsOptions {
  /** The strings under `__metadata__`. @default { format: "pt" } */
  metadata?: Record<string, string>;
  /** The tensors to write. @default all of the source */
  names?: readonly string[];
  /** Bytes held and written at a time. @default 8 MiB */
  chunkBytes?: number;
  /** Called after every chunk with the bytes of this file so far. */
  onBytes?: (written: number) => void;
  /** Stops between chunks and leaves no file. */
  signal?: AbortSignal;
}

/** Options of {@linkcode writeSafetensorsSharded}. */
export interface WriteSafetensorsShardedOptions extends WriteSafetensorsOptions {
  /** The most tensor bytes in one shard; a larger tensor gets a shard of its own. @default 5e9 */
  maxShardBytes?: number;
}

/** A file that {@linkcode writeSafetensorsSharded} wrote. */
export interface WrittenFile extends WrittenBytes {
  /** The file's name inside the folder. */
  name: string;
}

/** The Rust crate sorts by dtype in this order, so that wide elements stay aligned. */
const dtypeOrder: readonly DType[] = [
  "int64",
  "float64",
  "float32",
  "int32",
  "bfloat16",
  "float16",
  "int16",
  "int8",
  "uint8",
  "bool",
];

/**
 * Writes one file. It appears under its name only when it is whole and synced to disk.
 *
 * @example
 * ```ts
 * import { openSafetensors, writeSafetensors } from "@ortune/ortune";
 * import { tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const dir = await Deno.makeTempDir();
 * const data = new Uint8Array(Float32Array.of(1, 2).buffer);
 * const source = tensorSourceFromMap(new Map([["a", { dtype: "float32", shape: [2], data }]]));
 * const { bytes, sha256 } = await writeSafetensors(`${dir}/a.safetensors`, source);
 * assert.equal(bytes, 104);
 * assert.equal(sha256.length, 64);
 * {
 *   await using file = await openSafetensors(`${dir}/a.safetensors`);
 *   assert.equal(file.metadata.get("format"), "pt");
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export async function writeSafetensors(
  path: string,
  source: TensorSource,
  options: WriteSafetensorsOptions = {},
): Promise<WrittenBytes> {
  const { metadata, chunkBytes = 8 * 1024 * 1024, onBytes, signal } = options;
  if (!Number.isSafeInteger(chunkBytes) || chunkBytes < 1) {
    throw new RangeError(
      `Cannot write ${quoteName(path)}: chunkBytes ${chunkBytes} is not a positive integer. ` +
        "Give some MiB",
    );
  }
  const { header, tensors, bytes: total } = planSafetensors(path, source, {
    metadata,
    names: options.names,
  });
  signal?.throwIfAborted();

  return await FileWriter.whole(path, async (file) => {
    const chunk = new Uint8Array(Math.min(chunkBytes, total));
    let used = 0;
    let written = 0;
    const flush = async (bytes: Uint8Array): Promise<void> => {
      signal?.throwIfAborted();
      await file.write(bytes);
      written += bytes.byteLength;
      onBytes?.(written);
    };
    await flush(header);
    for (const { name, bytes } of tensors) {
      for (let offset = 0; offset < bytes;) {
        const take = Math.min(bytes - offset, chunk.byteLength - used);
        await source.read(name, chunk.subarray(used, used + take), offset);
        offset += take;
        used += take;
        if (used === chunk.byteLength) {
          await flush(chunk);
          used = 0;
        }
      }
    }
    if (used > 0) await flush(chunk.subarray(0, used));
  });
}

/** Where everything of a file lies. */
export interface SafetensorsPlan {
  /** What comes first. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** The tensors, one after the other behind it. */
  readonly tensors: readonly PlacedTensor[];
  /** The length of the file. */
  readonly bytes: number;
}

/** Where a tensor lies in a file. */
export interface PlacedTensor {
  readonly name: string;
  /** Its first byte in the file. */
  readonly start: number;
  readonly bytes: number;
}

/**
 * Lays a file out as {@linkcode writeSafetensors} writes it.
 *
 * @param path for errors
 */
export function planSafetensors(
  path: string,
  source: Pick<TensorSource, "names" | "info">,
  { metadata = { format: "pt" }, names = source.names() }: Pick<
    WriteSafetensorsOptions,
    "metadata" | "names"
  > = {},
): SafetensorsPlan {
  const placed = layOut(path, source, names);
  const header = encodeHeader(path, placed, metadata);
  let end = header.byteLength;
  const tensors = placed.map(({ name, bytes }) => ({ name, start: (end += bytes) - bytes, bytes }));
  return { header, tensors, bytes: end };
}

/**
 * Writes a model folder's weights: `model.safetensors` when they fit one shard, else
 * `model-00001-of-0000N.safetensors` and so on with `model.safetensors.index.json`. Returns all
 * files written, the index last.
 *
 * @example
 * ```ts
 * import { tensorSourceFromMap, writeSafetensorsSharded } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const dir = await Deno.makeTempDir();
 * const tensor = { dtype: "uint8", shape: [4], data: new Uint8Array(4) } as const;
 * const source = tensorSourceFromMap(new Map([["a", tensor], ["b", tensor]]));
 * const files = await writeSafetensorsSharded(dir, source, { maxShardBytes: 4 });
 * assert.deepEqual(files.map(({ name }) => name), [
 *   "model-00001-of-00002.safetensors",
 *   "model-00002-of-00002.safetensors",
 *   "model.safetensors.index.json",
 * ]);
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export async function writeSafetensorsSharded(
  dir: string,
  source: TensorSource,
  options: WriteSafetensorsShardedOptions = {},
): Promise<WrittenFile[]> {
  const { maxShardBytes = 5_000_000_000, names = source.names() } = options;
  checkNames(dir, names);
  const shards = planShards(source, names, maxShardBytes);
  const count = String(shards.length).padStart(5, "0");
  const fileNames = shards.map((_, i) =>
    shards.length === 1
      ? "model.safetensors"
      : `model-${String(i + 1).padStart(5, "0")}-of-${count}.safetensors`
  );
  const indexName = "model.safetensors.index.json";
  await refuseStale(dir, shards.length === 1 ? fileNames : [...fileNames, indexName]);

  const files: WrittenFile[] = [];
  const write = async (i: number): Promise<void> => {
    const path = join(dir, fileNames[i]);
    const written = await writeSafetensors(path, source, { ...options, names: shards[i] });
    files.push({ name: fileNames[i], ...written });
  };
  for (let i = 0; i < shards.length; i++) await write(i);
  if (shards.length > 1) {
    const home = new Map(shards.flatMap((shard, i) => shard.map((name) => [name, fileNames[i]])));
    const size = names.reduce((sum, name) => sum + tensorBytes(source.info(name)), 0);
    const index = new TextEncoder().encode(encodeIndex(home, size));
    const written = await FileWriter.whole(join(dir, indexName), (file) => file.write(index));
    files.push({ name: indexName, ...written });
  }
  return files;
}

/**
 * Splits tensors into shards in Hugging Face's way: in order, a new shard when the next tensor
 * would exceed the limit; a tensor that is larger alone gets its own shard. One shard at least.
 *
 * @example
 * ```ts
 * import { tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import { planShards } from "./safetensors_writer.ts";
 * import assert from "node:assert/strict";
 *
 * const tensor = { dtype: "uint8", shape: [4], data: new Uint8Array(4) } as const;
 * const source = tensorSourceFromMap(new Map([["a", tensor], ["b", tensor], ["c", tensor]]));
 * assert.deepEqual(planShards(source, source.names(), 8), [["a", "b"], ["c"]]);
 * ```
 */
export function planShards(
  source: TensorSource,
  names: readonly string[],
  maxShardBytes: number,
): string[][] {
  if (!(maxShardBytes > 0)) {
    throw new RangeError(
      `Cannot plan shards: maxShardBytes ${maxShardBytes} is not positive. Give some gigabytes`,
    );
  }
  const shards: string[][] = [];
  let shard: string[] = [];
  let filled = 0;
  for (const name of names) {
    const bytes = tensorBytes(source.info(name));
    if (bytes > maxShardBytes) {
      shards.push([name]);
      continue;
    }
    if (filled + bytes > maxShardBytes) {
      shards.push(shard);
      shard = [];
      filled = 0;
    }
    shard.push(name);
    filled += bytes;
  }
  if (shard.length > 0 || shards.length === 0) shards.push(shard);
  return shards;
}

interface Placed {
  name: string;
  info: TensorInfo;
  bytes: number;
}

/** Names, sizes and order of one file's tensors. */
function layOut(
  path: string,
  source: Pick<TensorSource, "info">,
  names: readonly string[],
): Placed[] {
  checkNames(path, names);
  return names
    .map((name) => {
      const info = source.info(name);
      return { name, info, bytes: tensorBytes(info), rank: dtypeOrder.indexOf(info.dtype) };
    })
    .sort((a, b) => a.rank - b.rank || compareUtf8(a.name, b.name));
}

function checkNames(path: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    const problem = name === "__metadata__"
      ? "which safetensors reserves"
      : seen.has(name)
      ? "which is listed twice"
      : name.isWellFormed()
      ? undefined
      : "which holds a lone surrogate and has no UTF-8";
    if (problem !== undefined) {
      throw new RangeError(
        `Cannot write ${quoteName(path)}: a tensor is named ${
          quoteName(name)
        }, ${problem}. Rename it`,
      );
    }
    seen.add(name);
  }
}

/** 8 bytes of length, then JSON padded with spaces to a multiple of 8. */
function encodeHeader(
  path: string,
  tensors: readonly Placed[],
  metadata: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const refuse = (problem: string): never => {
    throw new RangeError(`Cannot write ${quoteName(path)}: ${problem}`);
  };
  if (tensors.length > maxSafetensorsTensors) {
    refuse(`${tensors.length} tensors exceed ${maxSafetensorsTensors}. Split them into shards`);
  }
  const pairs = Object.entries(metadata);
  for (const [key, value] of pairs) {
    if (typeof value !== "string" || !value.isWellFormed() || !key.isWellFormed()) {
      refuse(`metadata ${quoteName(key)} is not a well-formed string. Give text`);
    }
  }
  // Put together by hand: an object would move names such as "0" to the front.
  const fields = pairs.length === 0 ? [] : [
    `"__metadata__":{${
      pairs.map((pair) => pair.map((s) => JSON.stringify(s)).join(":")).join(",")
    }}`,
  ];
  let begin = 0;
  for (const { name, info, bytes } of tensors) {
    fields.push(
      `${JSON.stringify(name)}:{"dtype":"${safetensorsName(info.dtype)}",` +
        `"shape":[${info.shape.join(",")}],"data_offsets":[${begin},${begin + bytes}]}`,
    );
    begin += bytes;
    if (!Number.isSafeInteger(begin)) {
      refuse("the tensors exceed 2^53 − 1 bytes. Split them into shards");
    }
  }
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  const length = Math.ceil(json.byteLength / 8) * 8;
  if (length > maxSafetensorsHeaderBytes) {
    refuse(
      `its header would take ${length} bytes, over the ${maxSafetensorsHeaderBytes} that readers ` +
        "accept. Split the tensors into shards or shorten the metadata",
    );
  }
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}

/** As `json.dumps(index, indent=2, sort_keys=True)`; by hand, for the order of the keys. */
function encodeIndex(home: ReadonlyMap<string, string>, size: number): string {
  const lines = [...home]
    .sort(([a], [b]) => compareUtf8(a, b))
    .map(([name, file]) => `    ${JSON.stringify(name)}: ${JSON.stringify(file)}`);
  return `{\n  "metadata": {\n    "total_size": ${size}\n  },\n  "weight_map": {\n${
    lines.join(",\n")
  }\n  }\n}\n`;
}

/** Weights of another layout would stay beside the new ones, and a reader might take them. */
async function refuseStale(dir: string, written: readonly string[]): Promise<void> {
  const stale: string[] = [];
  for (const name of await readdir(dir)) {
    if (
      /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/.test(name) && !written.includes(name)
    ) {
      stale.push(name);
    }
  }
  if (stale.length > 0) {
    throw new RangeError(
      `Cannot write weights into ${quoteName(dir)}: it holds ${
        quoteNames(stale.sort())
      } of another ` +
        "layout, which a reader could take for the new ones. Remove them or choose an empty folder",
    );
  }
}

/** Order of UTF-8 bytes, which is that of code points; `<` compares UTF-16 units. */
function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    // Surrogates (code points from 2^16 on) belong after U+E000 to U+FFFF.
    if (x !== y) return (isSurrogate(x) ? x + 0x10000 : x) - (isSurrogate(y) ? y + 0x10000 : y);
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xe000;
}
