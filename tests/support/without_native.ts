/**
 * What the library does without ONNX Runtime: tokenizer, examples, weights, graphs, adapter settings.
 *
 * In: a folder with `model` and `train.jsonl`. Out: facts that every runtime must agree on. Run as a program
 * it prints them as JSON: Node gets this very file.
 */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { argv } from "node:process";
import { loadTokenizer, readExamples } from "../../data/mod.ts";
import { formatAdapterConfig, parseAdapterConfig } from "../../lora/adapter_config.ts";
import { gradient, GraphBuilder, ops, writeOnnx } from "../../ort/graph/mod.ts";
import { openSafetensorsFolder, writeSafetensorsSharded } from "../../ort/tensor/mod.ts";

/** The facts. */
export async function withoutNative(folder: string): Promise<Record<string, unknown>> {
  const sha256 = (data: Uint8Array | string) => createHash("sha256").update(data).digest("hex");
  const tokenizer = await loadTokenizer(`${folder}/model`);
  const messages = [{ role: "user", content: "医生，发烧了应该怎么办？" }] as const;
  const text = tokenizer.render(messages, { addGenerationPrompt: true });
  const ids = tokenizer.encode(text);
  const { examples } = await readExamples(`${folder}/train.jsonl`, { tokenizer, maxLength: 512 });
  const inputs = createHash("sha256");
  for (const { inputIds, labels } of examples) inputs.update(inputIds).update(labels);

  const weights = await openSafetensorsFolder(`${folder}/model`);
  const files = await writeSafetensorsSharded(`${folder}/out`, weights, { maxShardBytes: 60_000 });
  await weights[Symbol.asyncDispose]();
  const again = await openSafetensorsFolder(`${folder}/out`);
  const names = again.names().toSorted();
  await again[Symbol.asyncDispose]();
  const missing = await openSafetensorsFolder(`${folder}/none`).then(
    () => "opened",
    (error: Error) => error.message.replaceAll(folder, "FOLDER"),
  );

  const b = new GraphBuilder("swiglu");
  const x = b.input("x", "float32", ["tokens", 8]);
  const y = ops.silu(b, ops.linear(b, x, b.input("weight", "float32", [16, 8])));
  const dy = b.input("dy", "float32", ["tokens", 16]);
  b.output("y", y);
  const gradients = gradient(b, { seeds: new Map([[y, dy]]), wrt: new Map([[x, undefined]]) });
  b.output("dx", gradients.get(x)!);

  const adapter = await readFile(`${folder}/adapter_config.json`, "utf8");
  const { notes, ...lora } = parseAdapterConfig(JSON.parse(adapter));
  return {
    text,
    ids: [...ids],
    decoded: tokenizer.decode(ids),
    examples: [examples.length, inputs.digest("hex")],
    files,
    names,
    missing,
    onnx: sha256(writeOnnx(b.build())),
    notes,
    adapter: formatAdapterConfig(lora, { baseModel: "acme/Smol" }),
  };
}

if (!("Deno" in globalThis)) console.log(JSON.stringify(await withoutNative(argv[2])));
