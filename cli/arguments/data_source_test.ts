import assert from "node:assert/strict";
import { type DataSource, parseDataSource } from "./data_source.ts";

const SOURCES: Readonly<Record<string, DataSource>> = {
  modelscope: { hub: "modelscope", id: undefined },
  ms: { hub: "modelscope", id: undefined },
  huggingface: { hub: "huggingface", id: undefined },
  hf: { hub: "huggingface", id: undefined },
  "ms:a/b": { hub: "modelscope", id: "a/b" },
  "hf:a/b": { hub: "huggingface", id: "a/b" },
  "https://huggingface.co/datasets/a/b": { hub: "huggingface", id: "a/b" },
  "https://huggingface.co/datasets/a/b/viewer?x=1": { hub: "huggingface", id: "a/b" },
  "https://modelscope.cn/datasets/a/b#top": { hub: "modelscope", id: "a/b" },
  "https://www.modelscope.cn/datasets/a/b/": { hub: "modelscope", id: "a/b" },
  "https://example.com/datasets/a/b": { path: "https://example.com/datasets/a/b" },
  "a/b": { hub: "modelscope", id: "a/b" },
  "a/b.c": { hub: "modelscope", id: "a/b.c" },
  "a/b.jsonl": { path: "a/b.jsonl" },
  "a/b.parquet": { path: "a/b.parquet" },
  "a/b.gz": { path: "a/b.gz" },
  "a/b.zst": { path: "a/b.zst" },
  "a/b/c": { path: "a/b/c" },
  "./a": { path: "./a" },
  "x:y": { path: "x:y" },
  "constructor:y": { path: "constructor:y" },
};

Deno.test("parseDataSource() tells hubs, datasets and files apart", () => {
  for (const [text, source] of Object.entries(SOURCES)) {
    assert.deepEqual(parseDataSource(text), source, text);
  }
  assert.throws(() => parseDataSource("hf:a"), TypeError);
  assert.throws(() => parseDataSource("hf:../b"), TypeError);
});
