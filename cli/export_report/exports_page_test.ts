import assert from "node:assert/strict";
import { LANGUAGE_SCRIPT } from "../../train/track/bilingual.ts";
import { compareExports, type ExportFolder, exportsJson } from "./compared_exports.ts";
import { renderExports } from "./exports_page.ts";
import {
  formatChange,
  formatExports,
  formatLogits,
  formatShare,
  llamaWords,
} from "./exports_table.ts";
import { exportsText } from "./exports_words.ts";
import { type KeptExport, type ParityFile, parityFile } from "./parity_file.ts";

/** An export whose perplexity is so much, of a checkpoint of 10. */
function kept(bytes: number, perplexity: number, replies: readonly string[]): KeptExport {
  return {
    bytes,
    replies,
    parity: {
      maxAbsolute: 0.5,
      meanAbsolute: 0.0625,
      largestLogit: 8,
      positions: { all: 20, same: 19 },
      greedy: { prompts: 2, tokens: 4, same: [4, 1] },
      perplexity: { tokens: 900, checkpoint: 10, export: perplexity, difference: perplexity - 10 },
    },
  };
}

/** A folder of ONNX and one of GGUF, with `text` wherever text goes. */
function folders(text: string, changes: Partial<ParityFile> = {}): readonly ExportFolder[] {
  const facts = {
    model: text,
    adapter: text,
    adapterKept: false,
    checkpoint: { sha256: "ab".repeat(32), bytes: 2000, parameters: 1000 },
    onnxruntime: text,
    questions: {
      sha256: "cd",
      text,
      greedyTokens: 4,
      prompts: [{ text, tokens: 7, reply: `${text} one` }, { text, tokens: 9, reply: text }],
    },
  };
  const onnx = parityFile({
    ...facts,
    exportFormat: "onnx",
    exports: {
      q4: kept(700, 12, [`${text} two`, text]),
      fp32: kept(4000, 10, [`${text} one`, text]),
    },
  });
  const gguf = parityFile({
    ...facts,
    exportFormat: "gguf",
    exports: {
      q8_0: {
        ...kept(1100, 9.95, [`${text} one`, `${text} three`]),
        template: false,
        texts: { all: 3, same: 2 },
        ends: { all: 2, same: 2 },
      },
      q4_k_m: { bytes: 600 },
    },
    ...changes,
  });
  return [{ folder: text, file: onnx }, { folder: `${text}/gguf`, file: gguf }];
}

// First in the file, so that echarts is loaded here, with all permissions taken away.
Deno.test({
  name: "renderExports() needs no permissions",
  permissions: "none",
  async fn() {
    const page = await renderExports(compareExports(folders("x")));
    assert.match(page, /^<!DOCTYPE html>/);
  },
});

Deno.test("compareExports() makes a row an export, the largest first, of one checkpoint", () => {
  const { exports, perplexity, bitsPerWeight, checkpoint } = compareExports(folders("m"));
  assert.deepEqual(
    exports.map(({ name, bytes, bitsPerWeight, compared }) => [
      name,
      bytes,
      bitsPerWeight,
      compared && Number(compared.change.toFixed(6)),
    ]),
    [
      ["ONNX fp32", 4000, 32, 0],
      ["GGUF q8_0", 1100, 8.8, -0.005],
      ["ONNX q4", 700, 5.6, 0.2],
      ["GGUF q4_k_m", 600, 4.8, undefined],
    ],
  );
  assert.deepEqual([perplexity, bitsPerWeight, checkpoint], [10, 16, "m on m"]);
  const [first, second] = folders("m", { adapterKept: true });
  assert.deepEqual(
    compareExports([second]).exports.map(({ name }) => name),
    ["GGUF q8_0, adapter apart", "GGUF q4_k_m, adapter apart"],
  );
  const hf = { ...first.file, exportFormat: "hf", exports: { hf: { bytes: 4000 } } } as const;
  const alone = compareExports([{ folder: "hf", file: { ...hf, questions: undefined } }]);
  assert.deepEqual(alone.exports.map(({ name }) => name), ["safetensors fp32"]);
  assert.deepEqual([alone.perplexity, alone.questions], [undefined, undefined]);
});

Deno.test("compareExports() refuses exports of different checkpoints, and different questions", () => {
  const checkpoint = { sha256: "ef".repeat(32), bytes: 2000, parameters: 1000 };
  assert.throws(
    () => compareExports(folders("m", { checkpoint, model: "other", adapter: undefined })),
    {
      message: "Cannot compare exports of different checkpoints: m is of m on m (sha256 " +
        "abababababab), and m/gguf is of other (sha256 efefefefefef); export both from one",
    },
  );
  const questions = { ...folders("m")[0].file.questions!, sha256: "ce", text: "t.txt" };
  assert.throws(() => compareExports(folders("m", { questions })), {
    message:
      "Cannot compare answers to different questions: m 4 tokens after each prompt and the " +
      "text m, m/gguf 4 tokens after each prompt and the text t.txt; export again with the same " +
      "--parity-file and --parity-tokens, chat template and tokenizer",
  });
  // What was not compared was asked nothing.
  const exports = { q8_0: { bytes: 1 } };
  assert.equal(compareExports(folders("m", { questions: undefined, exports })).exports.length, 3);
});

Deno.test("formatExports() lists figures below each other, and what was not compared", () => {
  const lines = formatExports(compareExports(folders("m")));
  assert.deepEqual(lines.map((line) => line.replace(/ {2,}/g, " | ")), [
    "model | size | bits/weight | perplexity | change | logits: most, mean | likeliest same | " +
    "greedy same | llama.cpp",
    "checkpoint, in float32 | 1.95 KiB | 16.00 | 10.0000",
    "ONNX fp32 (m) | 3.91 KiB | 32.00 | 10.0000 | 0.000 % | 5.0e-1, 6.3e-2 | 95.0 % | 62.5 %",
    "GGUF q8_0 (m/gguf) | 1.07 KiB | 8.80 | 9.9500 | -0.50 % | 5.0e-1, 6.3e-2 | 95.0 % | 62.5 % | " +
    "template differs, tokens of 2 of 3 texts",
    "ONNX q4 (m) | 700 B | 5.60 | 12.0000 | +20.0 % | 5.0e-1, 6.3e-2 | 95.0 % | 62.5 %",
    "GGUF q4_k_m (m/gguf) | 600 B | 4.80",
    "GGUF q4_k_m: not compared: export again with --verify",
  ]);
});

Deno.test("figures are written with as many digits as they have", () => {
  assert.deepEqual(
    [0, 4e-6, -4e-6, 0.0009994, 0.001, 0.0999, 0.1, -0.1234, NaN].map(formatChange),
    [
      "0.000 %",
      "0.000 %",
      "0.000 %",
      "+0.100 %",
      "+0.10 %",
      "+9.99 %",
      "+10.0 %",
      "-12.3 %",
      "NaN %",
    ],
  );
  assert.deepEqual([0, 1.25e-6, 8.14, NaN].map(formatLogits), [
    "0.0e+0",
    "1.3e-6",
    "8.1e+0",
    "NaN",
  ]);
  assert.deepEqual([formatShare(1, 3), formatShare(0, 0)], ["33.3 %", ""]);
  const [, gguf] = folders("m");
  const each = compareExports([gguf]).exports[0];
  const say = (llama: typeof each.llama) =>
    exportsText((words) => llamaWords(words, { ...each, llama })).en;
  const all = { all: 2, same: 2 };
  assert.equal(say({ template: true, texts: all, ends: all }), "agrees");
  assert.equal(say({ template: true, texts: all, ends: { all: 2, same: 1 } }), "1 of 2 ends");
  assert.equal(say(undefined), "");
});

Deno.test("exportsJson() has every figure, and null for what is not finite", () => {
  const [onnx, gguf] = folders("m");
  const broken = { ...onnx.file, exports: { fp32: kept(4000, NaN, ["a", "b"]) } };
  const json = JSON.parse(exportsJson(compareExports([{ folder: "m", file: broken }, gguf])));
  assert.equal(json.format, "ortune-exports-1");
  assert.deepEqual(json.checkpoint, {
    name: "m on m",
    bytes: 2000,
    parameters: 1000,
    bits_per_weight: 16,
    perplexity: 10,
  });
  assert.equal(json.exports[0].perplexity, null);
  assert.deepEqual(json.exports[1], {
    name: "GGUF q8_0",
    folder: "m/gguf",
    bytes: 1100,
    bits_per_weight: 8.8,
    perplexity: 9.95,
    perplexity_change: (9.95 - 10) / 10,
    max_logit_difference: 0.5,
    mean_logit_difference: 0.0625,
    largest_logit: 8,
    positions: { all: 20, same: 19 },
    greedy_tokens: 4,
    greedy_same: [4, 1],
    replies: ["m one", "m three"],
    llama_cpp: { template: false, texts: { all: 3, same: 2 }, ends: { all: 2, same: 2 } },
  });
  assert.deepEqual(json.prompts[0], { text: "m", checkpoint: "m one" });
});

Deno.test("renderExports() shows a point and a row an export, and marks what differs", async () => {
  const page = await renderExports(compareExports(folders("m")));
  const chart = /<figure[^]*?<\/figure>/.exec(page)![0];
  // The one that was not compared has no place.
  const labels = [...chart.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text.trim());
  for (const label of ["fp32", "q8_0", "q4", "GGUF", "ONNX", "size, KiB"]) {
    assert.ok(labels.includes(label), `${label}: ${labels.join()}`);
  }
  assert.ok(!labels.includes("q4_k_m"));
  assert.match(chart, /data-zh="大小（KiB）"/);
  assert.equal(page.match(/<tr>/g)!.length, 1 + 1 + 4);
  assert.match(
    page,
    /data-zh="未比较：导出时加 --verify">not compared: export again with --verify</,
  );
  const [first, second] = page.match(/<article>[^]*?<\/article>/g)!;
  assert.match(first, /same<\/span>: ONNX fp32 · GGUF q8_0<\/p>/);
  assert.match(first, /<h4>ONNX q4<\/h4>\s*<p class="text answer"[^>]*>m <mark>two<\/mark><\/p>/);
  assert.match(second, /m <mark>three<\/mark>/);
  assert.match(second, /first 1 of 4 tokens the same/);
  // Points that lie on each other have labels that do not.
  const [onnx, gguf] = folders("m", { exports: { f32: kept(4000, 10, ["a", "b"]) } });
  const lain = await renderExports(compareExports([onnx, gguf]));
  const [one, other] = ["fp32", "f32"].map((label) =>
    new RegExp(`translate\\(([\\d.]+) ([\\d.]+)\\)"[^>]*>${label}<`).exec(lain)!.slice(1).map(
      Number,
    )
  );
  assert.ok(
    Math.abs(one[0] - other[0]) > 20 || Math.abs(one[1] - other[1]) > 11,
    `${one}; ${other}`,
  );
  // Without figures there are sizes alone.
  const bare = folders("m", { questions: undefined, exports: { q8_0: { bytes: 1 } } })[1];
  const sizes = await renderExports(compareExports([bare]));
  assert.doesNotMatch(sizes, /<figure|<article/);
});

Deno.test("renderExports() renders hostile text inert, wherever it stands", async () => {
  const own = `<script>${LANGUAGE_SCRIPT}</script>`;
  const tagsOf = async (text: string): Promise<string[]> => {
    const page = (await renderExports(compareExports(folders(text)))).replace(own, "");
    assert.doesNotMatch(page, /<script|<img|<iframe/i, text);
    // deno-lint-ignore no-control-regex -- NUL is what must not be there
    assert.doesNotMatch(page, /\u0000/, text);
    assert.ok(page.isWellFormed(), text);
    return (page.match(/<[^>]*>/g) ?? []).map((tag) => tag.replace(/="[^"]*"/g, ""));
  };
  const plain = await tagsOf("x");
  for (
    const text of [
      "</script><script>alert(1)</script>",
      "</style><img src=x onerror=alert(1)>",
      "</title></mark></p></article><iframe>",
      '" onmouseover="alert(1)',
      "' autofocus onfocus='alert(1)",
      "\ud800<script>\u0000</script>",
      "$& $` $' ${alert(1)}",
      "&lt;script&gt;",
    ]
  ) assert.deepEqual(await tagsOf(text), plain, text);
});
