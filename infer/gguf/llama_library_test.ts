/** llama.cpp over a small file; skipped where npm's @node-llama-cpp is neither in Deno's cache nor to be had. */

import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { openGguf } from "../../gguf/mod.ts";
import { loraParameters } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { adaptModel } from "../../lora/load_adapter.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { draws } from "../../tests/support/random.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { randomWeights, tinyConfig } from "../../tests/support/tiny_model.ts";
import { checkpointParityModel } from "../export/parity_models.ts";
import { exportGguf } from "./export_gguf.ts";
import { exportGgufAdapter } from "./export_gguf_adapter.ts";
import { LLAMA_PACKAGE_VERSION, LlamaLibrary } from "./llama_library.ts";

const config = tinyConfig({
  hidden_size: 32,
  intermediate_size: 64,
  head_dim: 16,
  vocab_size: 261,
  max_position_embeddings: 64,
});

Deno.test("LlamaLibrary.open() names the platforms that there is a package for", async () => {
  for (const [os, arch] of [["plan9", "x86_64"], ["linux", "riscv64"]]) {
    await assert.rejects(
      LlamaLibrary.open({ os, arch }),
      new Error(
        `Cannot open llama.cpp on ${os}-${arch}: npm's @node-llama-cpp has it for linux-x86_64, ` +
          "linux-aarch64, darwin-aarch64, darwin-x86_64, windows-x86_64, windows-aarch64",
      ),
    );
  }
  assert.match(LLAMA_PACKAGE_VERSION, /^\d+\.\d+\.\d+$/);
});

const opened = await LlamaLibrary.open().catch((cause: Error) => cause);
if (!(opened instanceof Error)) opened[Symbol.dispose]();

Deno.test({
  name: `llama.cpp gives a model's tokens, logits and replies${
    opened instanceof Error ? ` (skipped: ${opened.message})` : ""
  }`,
  ignore: opened instanceof Error,
  fn: async () => {
    using llama = await LlamaLibrary.open();
    await using folder = await tempFolder();
    const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
    const tokenizer = createTokenizer({ tokenizerJson, tokenizerConfig });
    await folder.write("tokenizer.json", JSON.stringify(tokenizerJson));
    using runtime = new Runtime({ threads: 1 });
    using weights = randomWeights(runtime, config);
    const path = `${folder.path}/tiny.gguf`;
    const how = { config, weights, model: folder.path, tokenizer, name: "tiny" };
    await exportGguf(path, { ...how, dtype: "f32" });
    const ids = Int32Array.of(97, 98, 99, 257, 100, 0);
    const lora = { ...DEFAULT_LORA, rank: 2, alpha: 4 };
    using adapted = adaptModel(runtime, { config, base: weights, lora });
    const draw = draws(4);
    const values = adapted.trained.flat.float32();
    for (let i = 0; i < values.length; i++) values[i] = draw(-0.2, 0.2);
    assert.deepEqual(
      adapted.trained.names(),
      loraParameters(config, lora).map(({ name }) => name),
    );
    const adapter = `${folder.path}/adapter.gguf`;
    await exportGgufAdapter(adapter, { config, adapter: adapted.trained, lora, name: "a" });
    for (const own of [undefined, adapter]) {
      using model = await llama.load(path, { contextLength: 32, threads: 1, adapter: own });
      assert.equal(model.vocabSize, 261);
      assert.equal(model.chatTemplate, tokenizer.chatTemplate);
      using checkpoint = checkpointParityModel(runtime, {
        config,
        weights,
        ...own ? { adapted } : {},
      });
      // Twice: a sequence begins anew each time.
      for (let time = 0; time < 2; time++) {
        const logits = await model.logits(ids);
        assertClose(logits, await checkpoint.logits(ids), { absolute: 1e-3, label: "logits" });
        assert.deepEqual(await model.greedy(ids, 3), await checkpoint.greedy(ids, 3));
      }
      assert.deepEqual(await model.greedy(ids, 0), []);
      // A context has room for so many tokens.
      assert.equal((await model.logits(new Int32Array(32))).length, 32 * 261);
    }
    using words = await llama.load(path);
    for (const text of ["", "abc é头", "<|im_start|>user\n<think>x"]) {
      assert.deepEqual(words.encode(text), tokenizer.encode(text));
      assert.deepEqual(words.encode(text, { addSpecial: true }), tokenizer.encode(text));
    }
    assert.deepEqual([256, 257, 258, 97].map((id) => words.endsReply(id)), [
      true,
      false,
      true,
      false,
    ]);
    llama.quantize(path, `${folder.path}/q8.gguf`, 7);
    await using file = await openGguf(`${folder.path}/q8.gguf`);
    assert.equal(file.tensor("blk.0.attn_q.weight").type, "q8_0");
    const none = `${folder.path}/none.gguf`;
    await assert.rejects(
      llama.load(none),
      new Error(`Cannot load ${none}: llama.cpp does not take it`),
    );
    assert.throws(
      () => llama.quantize(none, `${none}.q8`, 7),
      /^Error: Cannot quantize .*none\.gguf: llama\.cpp answers 1$/,
    );
    await assert.rejects(
      llama.load(path, { contextLength: 8, adapter: path }),
      new Error(`Cannot load ${path}: llama.cpp does not take it as an adapter of the model`),
    );
  },
});
