/** `deno task export --format gguf`, with the permissions of the task, and what it writes for Ollama. */

import assert from "node:assert/strict";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { openGguf } from "../gguf/mod.ts";
import type { GgufReport } from "../infer/gguf/verify_gguf.ts";
import { goTemplate } from "../infer/gguf/go_template.ts";
import { preTokenizerName } from "../infer/gguf/pre_tokenizer_name.ts";
import { ggufTensorName, hfTensorName } from "../infer/gguf/tensor_names.ts";
import type { ModelType } from "../model/families/families.ts";
import { modelParameters } from "../model/parameters.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { realTokenizerFiles } from "./support/real_tokenizer.ts";
import { runTask } from "./support/run_task.ts";
import { FAMILY_FIELDS, familyConfig } from "./support/tiny_model.ts";

Deno.test("deno task export writes GGUF files and a Modelfile, and compares them in llama.cpp", async () => {
  await using folder = await quickstartFolder();
  // Both ends of replies, the taught one first.
  const settings = {
    format: 1,
    system: "Say 'no'.",
    enable_thinking: false,
    eos_token_ids: [1019],
  };
  await folder.write("models/tiny/chat_settings.json", JSON.stringify(settings));
  const run = (flags: string) =>
    runTask("export", folder.path, `--model models/tiny --format gguf --output-dir ${flags}`);
  const { code, stdout, stderr } = await run(
    "output/gguf --dtype f32,q8_0 --verify --parity-tokens 8 --threads 1",
  );
  assert.equal(code, 0, stderr);
  const output = `${folder.path}/output/gguf`;
  {
    await using file = await openGguf(`${output}/model-q8_0.gguf`);
    assert.equal(file.tensor("blk.0.attn_q.weight").type, "q8_0");
    const value = (key: string) => file.metadata.get(`tokenizer.ggml.${key}`);
    assert.deepEqual(value("pre"), { type: "string", value: "qwen2" });
    assert.deepEqual(value("eos_token_id"), { type: "uint32", value: 1019 });
    assert.deepEqual(value("eot_token_id"), { type: "uint32", value: 1021 });
  }
  const modelfile = await Deno.readTextFile(`${output}/Modelfile`);
  assert.match(modelfile, /^FROM \.\/model-f32\.gguf\nTEMPLATE """/);
  assert.match(
    modelfile,
    /<\|im_start\|>assistant\n<think>\n\n<\/think>\n\n"""\nSYSTEM """Say 'no'\."""/,
  );
  assert.match(
    modelfile,
    /PARAMETER num_ctx 512\nPARAMETER stop "<\|endoftext\|>"\nPARAMETER stop/,
  );

  const { exports } = JSON.parse(await Deno.readTextFile(`${output}/parity.json`));
  // Where there is no network and no cache the files are there all the same.
  if (stderr.includes("not verified")) {
    assert.match(stderr, /run `deno cache npm:@node-llama-cpp\//);
  } else {
    assert.match(stdout, /f32 in llama\.cpp: template, tokens and ends of replies agree/);
    const { template, texts, ends, parity }: GgufReport = exports.f32;
    assert.deepEqual({ template, texts, ends }, {
      template: true,
      texts: { all: 4, same: 4 },
      ends: { all: 2, same: 2 },
    });
    assert.deepEqual(parity.greedy.same, [8, 8, 8]);
    // Measured: 3e-6.
    assert.ok(parity.maxAbsolute < 1e-3);
  }

  const wrong = await run("output/other --dtype q4");
  assert.match(wrong.stderr, /Cannot export to q4 with --format gguf: it has f32, f16/);
});

Deno.test("goTemplate() finds what stands around messages, and nothing in a template that is more", async () => {
  const chatTemplate = (source: string) =>
    loadTokenizer(fixturePath("tokenizer"), { chatTemplate: source });
  const inside = await chatTemplate(
    "{% for m in messages %}{% if m.role == 'system' %}<u>{{ m.content }}--{% else %}" +
      "{% if not (loop.index0 == 1 and messages[0].role == 'system') %}<{{ m.role[0] }}>{% endif %}" +
      "{{ m.content }}</{{ m.role[0] }}>{% endif %}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}",
  );
  assert.equal(
    goTemplate(inside)!.text,
    '{{ range $i, $m := .Messages }}{{ if eq .Role "system" }}<u>{{ .Content }}--' +
      '{{ else if eq .Role "user" }}{{ if not (and (eq $i 1) (eq (index $.Messages 0).Role "system")) }}' +
      '<u>{{ end }}{{ .Content }}</u>{{ else if eq .Role "assistant" }}<a>{{ .Content }}</a>' +
      "{{ end }}{{ end }}<a>",
  );
  const counted = await chatTemplate(
    "{% for m in messages %}{{ loop.index }}{{ m.role }}:{{ m.content }};{% endfor %}",
  );
  assert.equal(goTemplate(counted), undefined);
});

Deno.test("every tensor of every family has a name in GGUF that leads back to it", () => {
  for (const family of Object.keys(FAMILY_FIELDS) as ModelType[]) {
    for (const { name } of modelParameters(familyConfig(family))) {
      const { names, change } = ggufTensorName(family, name);
      for (const [half, theirs] of names.entries()) {
        assert.deepEqual(hfTensorName(family, theirs), {
          name,
          ...names.length === 2 && { half },
          ...change && { change },
        });
      }
    }
  }
  assert.equal(hfTensorName("llama", "rope_freqs.weight"), undefined);
  assert.throws(() => ggufTensorName("llama", "model.layers.0.self_attn.q_norm.weight"), /no such/);
});

Deno.test("preTokenizerName() names published tokenizers and refuses what it does not know", async () => {
  const names = { gpt2: "gpt-2", llama3: "llama-bpe", qwen3: "qwen2", deepseek_v3: "deepseek-v3" };
  for (const [model, name] of Object.entries(names)) {
    const { tokenizerJson } = await realTokenizerFiles(model);
    assert.equal(preTokenizerName(tokenizerJson, "tokenizer.json"), name);
  }
  const { tokenizerJson } = await realTokenizerFiles("qwen3");
  const other = JSON.parse(JSON.stringify(tokenizerJson.pre_tokenizer).replace("{N}", "{N}{1,2}"));
  assert.throws(
    () => preTokenizerName({ ...tokenizerJson, pre_tokenizer: other }, "tokenizer.json"),
    /Cannot name the pre_tokenizer of tokenizer\.json for llama\.cpp: it is \{"type":"Sequence".*another name would give other tokens/s,
  );
});
