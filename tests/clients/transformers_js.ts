/**
 * Exports against the client that they are made for: transformers.js in Deno and in a browser gives
 * the tokens that ortune gives. `deno task test:clients`; apart from the other tests, since the
 * client and its ONNX Runtime for the web take some 200 MB that only examples/browser needs.
 */

import assert from "node:assert/strict";
import { loadTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { ExportedDecoder } from "../../infer/export/exported_decoder.ts";
import type { ExportDtype } from "../../infer/export/export_format.ts";
import type { ParityReport } from "../../infer/export/parity.ts";
import { chat } from "../../infer/chat/chat.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import {
  createGenerator,
  decoderGenerator,
  type Generator,
} from "../../infer/generate/generator.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { CHROMIUM } from "../support/chromium.ts";
import { openPage } from "../support/open_page.ts";
import { startDeno } from "../support/process.ts";
import { quickstartFolder } from "../support/quickstart_folder.ts";
import { repositoryPath, runDeno } from "../support/run_script.ts";
import { runTask, task } from "../support/run_task.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { type PipelineReplies, pipelineReplies } from "./pipeline_replies.ts";

const CLIENT_CONFIG = repositoryPath("examples/browser/deno.json");
const NEW_TOKENS = 48;
const QUESTIONS = ["医生，我最近总是头痛，怎么办？", "What helps against a fever?"];
// Measured: 6e-6.
const LOGITS_FP32 = 1e-3;

const runtime = new Runtime({ threads: 2 });
const folder = await trainedFolder();
const output = `${folder.path}/output`;

/** A folder with a model that was fine-tuned, an adapter on it, and exports of both. */
async function trainedFolder() {
  const folder = await quickstartFolder();
  const run = async (name: string, args: string) => {
    const { code, stdout, stderr } = await runTask(name, folder.path, args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  await run("quickstart", "--num-train-epochs 12 --output-dir output/quickstart");
  await run(
    "train:lora",
    "--model models/tiny --train-file data/train.jsonl --output-dir output/lora " +
      "--max-length 512 --max-steps 10 --learning-rate 0.01 --report-to none",
  );
  await run(
    "export",
    "--model output/quickstart --output-dir output/tuned --dtype fp32,fp16,q4,q4f16",
  );
  const q4 = "--model output/quickstart --output-dir output/only-q4 --dtype q4 --no-parity";
  await run("export", q4);
  const lora = "--adapter output/lora --model models/tiny";
  await run("export", `${lora} --output-dir output/merged --dtype fp32`);
  const kept = `${lora} --output-dir output/kept --dtype fp32,q4 --keep-adapter`;
  assert.match(await run("export", kept), /q4: the adapter is onnx\/model_q4\.onnx_data_1; /);
  await run("export", `${lora} --output-dir output/hf --format hf`);
  return folder;
}

async function parity(name: string): Promise<Record<string, { parity: ParityReport }>> {
  return JSON.parse(await Deno.readTextFile(`${output}/${name}/parity.json`)).exports;
}

/** ortune's own tokens after a question, without an end. */
async function ownTokens(
  generator: Generator,
  prompt: Int32Array,
): Promise<{ prompt: number[]; ids: number[] }> {
  const reply = generator.generate(prompt, {
    maxNewTokens: NEW_TOKENS,
    greedy: true,
    eosTokenIds: [],
  });
  return { prompt: [...prompt], ids: await Array.fromAsync(reply) };
}

function promptOf(tokenizer: Tokenizer, content: string): Int32Array {
  const messages = [{ role: "user", content }] as const;
  return tokenizer.encode(tokenizer.render(messages, { addGenerationPrompt: true }));
}

/** The model folder that a run's output or a folder stands for. */
async function checkpointOf(name: string): Promise<string> {
  const manifest = JSON.parse(await Deno.readTextFile(`${output}/${name}/run.json`));
  return `${folder.path}/${manifest.checkpoint}`;
}

Deno.test("exports in fp32 are their checkpoints", async () => {
  for (const name of ["tuned", "merged", "kept"]) {
    const { fp32: { parity: report } } = await parity(name);
    assert.ok(report.maxAbsolute <= LOGITS_FP32, `${name}: ${report.maxAbsolute}`);
    assert.equal(report.positions.same, report.positions.all);
    assert.ok(report.greedy.same.every((tokens) => tokens === report.greedy.tokens), name);
  }
  const { hf: { parity: report } } = await parity("hf");
  assert.ok(report.maxAbsolute <= LOGITS_FP32, `hf: ${report.maxAbsolute}`);
});

Deno.test("transformers.js in Deno gives ortune's tokens", async () => {
  const asked: readonly { readonly model: string; readonly dtype: ExportDtype }[] = [
    { model: "tuned", dtype: "fp32" },
    { model: "tuned", dtype: "fp16" },
    { model: "tuned", dtype: "q4" },
    { model: "tuned", dtype: "q4f16" },
    { model: "merged", dtype: "fp32" },
    { model: "kept", dtype: "fp32" },
    { model: "kept", dtype: "q4" },
  ];
  const { code, stdout, stderr } = await runDeno([
    "run",
    "--quiet",
    "--allow-all",
    `--config=${CLIENT_CONFIG}`,
    repositoryPath("tests/clients/greedy_client.ts"),
    output,
    JSON.stringify({ models: asked, questions: QUESTIONS, newTokens: NEW_TOKENS }),
  ]);
  assert.equal(code, 0, stderr);
  const replies: { prompt: number[]; ids: number[] }[] = JSON.parse(stdout);

  for (const [i, { model, dtype }] of asked.entries()) {
    using resources = new DisposableStack();
    const directory = model === "tuned"
      ? await checkpointOf("quickstart")
      : `${folder.path}/models/tiny`;
    const tokenizer = await loadTokenizer(directory);
    const { config, weights } = await loadModel(runtime, directory);
    resources.use(weights);
    const generation = await readGenerationConfig(directory, { config, tokenizer });
    let generator: Generator;
    if (dtype === "fp32") {
      // The checkpoint itself, block by block.
      const adapted = model === "tuned" ? undefined : resources.use(
        await loadAdapter(runtime, await checkpointOf("lora"), { config, base: weights }),
      );
      generator = createGenerator({
        ...{ runtime, config, generation, weights: adapted?.weights ?? weights },
        linear: adapted?.linear,
      });
    } else {
      const decoder = new ExportedDecoder(runtime, `${output}/${model}`, { config, dtype });
      generator = decoderGenerator(decoder, { config, generation });
    }
    resources.use(generator);
    for (const [j, question] of QUESTIONS.entries()) {
      const wanted = await ownTokens(generator, promptOf(tokenizer, question));
      assert.deepEqual(replies[i * QUESTIONS.length + j], wanted, `${model}, ${dtype}`);
    }
  }
});

/** Exports that a client is told the folder of alone: one with a model of each format, one with q4 only. */
const FOLDERS = ["tuned", "only-q4"];
const BATCH = [...QUESTIONS, "Hi"];

function assertAlike(model: string, { alone, batch }: PipelineReplies): void {
  // In q4 a row alone and several have kernels that round to 8 bits apart; a text may part on a near tie.
  const length = model === "tuned" ? undefined : 12;
  assert.deepEqual(
    batch.map((text) => text.slice(0, length)),
    alone.map((text) => text.slice(0, length)),
  );
  assert.equal(new Set(alone).size, BATCH.length);
}

/** What the pipeline answers in Deno. */
async function repliesInDeno(model: string): Promise<PipelineReplies> {
  const { code, stdout, stderr } = await runDeno([
    ...["run", "--quiet", "--allow-all", `--config=${CLIENT_CONFIG}`],
    ...[repositoryPath("tests/clients/pipeline_client.ts"), output],
    JSON.stringify({ model, questions: BATCH, newTokens: NEW_TOKENS }),
  ]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

Deno.test("a pipeline that is told the folder alone answers a batch as it answers each of its rows", async () => {
  for (const model of FOLDERS) assertAlike(model, await repliesInDeno(model));
});

/** The example's server with an export, and its address. */
async function startExample(model: string): Promise<AsyncDisposable & { readonly url: string }> {
  const { flags, script } = task("example:browser");
  const child = startDeno(repositoryPath(script), {
    permissions: flags.filter((flag) => !flag.startsWith("--config")).map((flag) =>
      flag.replace("=examples/browser", `=${repositoryPath("examples/browser")}`)
    ),
    config: CLIENT_CONFIG,
    args: ["--model", `output/${model}`, "--port", "0"],
    cwd: folder.path,
  });
  await child.waitFor(/http:\/\/127\.0\.0\.1:\d+\//);
  const [url] = /http:\/\/127\.0\.0\.1:\d+\//.exec(child.text)!;
  return { url, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

Deno.test({
  name: "a pipeline in a browser that is told the folder alone answers batches as in Deno",
  ignore: CHROMIUM === undefined,
  fn: async () => {
    for (const model of FOLDERS) {
      await using profile = await tempFolder();
      await using example = await startExample(model);
      await using page = await openPage(`${example.url}?device=wasm`, profile.path);
      // The page's own module has told transformers.js where models and ONNX Runtime are.
      await page.until('document.body.dataset.state === "ready"', 120);
      const status = await page.evaluate('document.getElementById("status").textContent');
      assert.equal(status, "q4 on wasm");
      await page.evaluate(`
        (async () => {
          const { pipeline } = await import("/transformers.js");
          const generate = await pipeline("text-generation", "model");
          const replies = ${pipelineReplies};
          return replies(generate, ${JSON.stringify(BATCH)}, ${NEW_TOKENS});
        })().catch(({ message }) => ({ message }))
          .then((said) => document.body.dataset.said = JSON.stringify(said));
      `);
      await page.until("document.body.dataset.said !== undefined", 240);
      const said = JSON.parse(String(await page.evaluate("document.body.dataset.said")));
      assert.ok("batch" in said, said.message);
      assertAlike(model, said);
      if (model === "tuned") assert.deepEqual(said, await repliesInDeno(model));
      const loaded = await page.evaluate(
        `performance.getEntriesByType("resource").map((each) => each.name).join()`,
      );
      // Beside the page's own q4 the format that config.json names first.
      assert.equal(/\/model\.onnx/.test(String(loaded)), model === "tuned");
    }
  },
});

Deno.test({
  name: "the example page answers in a browser with ortune's tokens, without the network",
  ignore: CHROMIUM === undefined,
  fn: async () => {
    await using profile = await tempFolder();
    for (const dtype of ["fp32", "q4"] as const) {
      await using example = await startExample("tuned");
      const parameters = `?device=wasm&dtype=${dtype}`;
      await using page = await openPage(`${example.url}${parameters}`, `${profile.path}/${dtype}`);
      const state = (wanted: string) => `document.body.dataset.state === "${wanted}"`;
      await page.until(`${state("ready")} || ${state("failed")}`, 120);
      const status = 'document.getElementById("status").textContent';
      assert.equal(await page.evaluate(status), `${dtype} on wasm`);
      await page.evaluate(
        `document.getElementById("question").value = ${JSON.stringify(QUESTIONS[0])};
         document.getElementById("ask").click()`,
      );
      await page.until('document.querySelector(".reply")?.dataset.tokens !== undefined', 120);

      const directory = await checkpointOf("quickstart");
      const tokenizer = await loadTokenizer(directory);
      const { config, weights } = await loadModel(runtime, directory);
      using _weights = weights;
      const generation = await readGenerationConfig(directory, { config, tokenizer });
      const tokens = String(
        await page.evaluate('document.querySelector(".reply").dataset.tokens'),
      ).split(" ").map(Number);
      if (dtype === "q4") {
        // Kernels that round activations to 8 bits are not the same on every processor.
        assert.ok(tokens.length > 1 && tokens.every((id) => id >= 0 && id < config.vocabSize));
        continue;
      }
      using generator = createGenerator({ runtime, config, weights, generation });
      const messages = [{ role: "user", content: QUESTIONS[0] }] as const;
      const said = { think: "", answer: "" };
      for await (const { kind, text } of chat(generator, tokenizer, { messages, greedy: true })) {
        said[kind] += text;
      }
      const text = (name: string): Promise<unknown> =>
        page.evaluate(`document.querySelector(".reply .${name}").textContent`);
      assert.deepEqual({ think: await text("think"), answer: await text("answer") }, said);
      const ids = await Array.fromAsync(
        generator.generate(promptOf(tokenizer, QUESTIONS[0]), { greedy: true }),
      );
      // The page is told the token that ends the reply, too.
      assert.deepEqual(tokens.slice(0, ids.length), ids);
      assert.ok(generation.eosTokenIds.includes(tokens[ids.length]));
      const elsewhere = await page.evaluate(
        `performance.getEntriesByType("resource").map((each) => each.name)
          .filter((name) => !name.startsWith(location.origin) && !name.startsWith("blob:")).length`,
      );
      assert.equal(elsewhere, 0);
    }
  },
});

Deno.test("deno task example:browser explains itself, and refuses what is no export", async () => {
  const { script } = task("example:browser");
  const example = (...args: string[]) =>
    runDeno(
      [
        ...["run", "--quiet", "--no-prompt", "--cached-only", "--allow-read=output"],
        ...["--allow-net=127.0.0.1", `--config=${CLIENT_CONFIG}`, repositoryPath(script), ...args],
      ],
      folder.path,
    );
  const help = await example("--help");
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.match(help.stdout, /^Usage: deno task example:browser /);
  assert.equal((await example("--port", "x")).code, 2);
  for (const model of ["output/none", "output/hf"]) {
    assert.deepEqual(await example("--model", model), {
      code: 1,
      stdout: "",
      stderr: `error: Cannot serve ${model}: it is no export for transformers.js; make one with ` +
        "deno task export --model DIR --output-dir output/export",
    });
  }
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const second = await example("--model", "output/tuned", "--port", `${port}`);
  assert.deepEqual([second.code, second.stderr], [
    1,
    `error: Cannot listen on 127.0.0.1:${port}: another program does; give another --port`,
  ]);
});

globalThis.addEventListener("unload", () => Deno.removeSync(folder.path, { recursive: true }));
