import assert from "node:assert/strict";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import type { ModelConfig } from "../config.ts";
import { modelParameters } from "../parameters.ts";
import { fitWeights } from "./fit_weights.ts";

type Shapes = ReadonlyMap<string, readonly number[]>;

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const config = tinyConfig();
const untied = tinyConfig({ tie_word_embeddings: false });

/** Names and shapes, and which bytes were asked for. */
function sourceOf(shapes: Shapes, reads: unknown[] = []): TensorSource {
  return {
    names: () => [...shapes.keys()],
    info: (name) => ({ dtype: "float32", shape: shapes.get(name)! }),
    read: (name, into, offset) => {
      reads.push([name, into.length, offset]);
      return Promise.resolve();
    },
  };
}

/** A model's tensors, under names of one's own. */
function shapesOf(model: ModelConfig, rename: (name: string) => string = (name) => name): Shapes {
  return new Map(modelParameters(model).map(({ name, shape }) => [rename(name), shape]));
}

Deno.test("a file with the model's names is read as it is", async () => {
  const reads: unknown[] = [];
  for (const model of [config, untied]) {
    const { source, notes, tied } = fitWeights(model, sourceOf(shapesOf(model), reads));
    assert.deepEqual(source.names(), modelParameters(model).map(({ name }) => name));
    assert.deepEqual([notes, tied], [[], undefined]);
    for (const { name, shape } of modelParameters(model)) {
      assert.deepEqual(source.info(name), { dtype: "float32", shape });
    }
  }
  const { source } = fitWeights(config, sourceOf(shapesOf(config), reads));
  await source.read(EMBEDDING, new Uint8Array(8), 16);
  assert.deepEqual(reads, [[EMBEDDING, 8, 16]]);
});

/** What tools make of names, and what the note says of the first of them. */
const WRAPPED: readonly (readonly [label: string, rename: (name: string) => string])[] = [
  ["distributed training", (name) => `module.${name}`],
  ["torch.compile", (name) => `_orig_mod.${name}`],
  ["compiled parts", (name) => name.replace("model.layers.", "model._orig_mod.layers._orig_mod.")],
  [
    "FSDP",
    (name) => `_fsdp_wrapped_module.${name.replace("layers.0.", "layers.0._fsdp_wrapped_module.")}`,
  ],
  ["PEFT", (name) => `base_model.model.${name.replace("q_proj.", "q_proj.base_layer.")}`],
  ["the model alone", (name) => name.replace(/^model\./, "")],
  [
    "a language model of another",
    (name) => name.replace(/^(model|lm_head)\./, "language_model.$&"),
  ],
  ["an inner model", (name) => name.replace(/^model\./, "model.language_model.")],
];

Deno.test("names that tools wrapped are seen through, and told", async () => {
  for (const model of [config, untied]) {
    for (const [label, rename] of WRAPPED) {
      const reads: unknown[] = [];
      const shapes = shapesOf(model, rename);
      const { source, notes, tied } = fitWeights(model, sourceOf(shapes, reads), "m");
      assert.deepEqual(
        source.names().toSorted(),
        modelParameters(model).map(({ name }) => name).toSorted(),
        label,
      );
      const [renamed] = [...shapesOf(model).keys()].filter((name) => rename(name) !== name);
      assert.deepEqual(notes, [
        `m: its tensors are named as "${rename(renamed)}"; it is read as ${renamed}`,
      ], label);
      assert.equal(tied, undefined);
      for (const name of source.names()) await source.read(name, new Uint8Array(4));
      assert.deepEqual(
        reads,
        source.names().map((name) => [rename(name), 4, undefined]),
        label,
      );
    }
  }
});

Deno.test("a tied model's head is told apart, and may stand in for its embedding", () => {
  const shapes = shapesOf(config);
  const both = new Map([...shapes, [HEAD, [64, 16]]]);
  const tied = fitWeights(config, sourceOf(both), "m");
  assert.deepEqual(tied.tied, { embedding: EMBEDDING, head: HEAD });
  assert.deepEqual([tied.notes, tied.source.names().includes(HEAD)], [[], false]);

  const wrapped = new Map([...both].map(([name, shape]) => [`module.${name}`, shape]));
  const inside = fitWeights(config, sourceOf(wrapped), "m");
  assert.deepEqual(inside.tied, { embedding: `module.${EMBEDDING}`, head: `module.${HEAD}` });

  const alone = new Map([...both].filter(([name]) => name !== EMBEDDING));
  const only = "it has no embedding but lm_head.weight, which is the same in a tied model";
  const found = fitWeights(config, sourceOf(alone), "m");
  assert.deepEqual(found.notes, [`m: ${only}`]);
  assert.equal(found.tied, undefined);
  assert.deepEqual(new Set(found.source.names()), new Set(shapes.keys()));

  const wrappedAlone = new Map([...alone].map(([name, shape]) => [`module.${name}`, shape]));
  assert.deepEqual(fitWeights(config, sourceOf(wrappedAlone), "m").notes, [
    'm: its tensors are named as "module.model.layers.0.input_layernorm.weight"; it is read as ' +
    "model.layers.0.input_layernorm.weight",
    `m: ${only}`,
  ]);
  // A model of its own head has both.
  assert.equal(fitWeights(untied, sourceOf(both), "m").tied, undefined);
  assert.throws(
    () => fitWeights(untied, sourceOf(alone), "m"),
    /missing: "model\.embed_tokens\.weight"/,
  );
});

Deno.test("tensors beside the text model are left out", () => {
  const qwen = tinyConfig({ model_type: "qwen3_5_text", full_attention_interval: 2 });
  const shapes = new Map([...shapesOf(qwen), ["model.visual.patch_embed.weight", [1]]]);
  assert.deepEqual(
    fitWeights(qwen, sourceOf(shapes)).source.names(),
    modelParameters(qwen).map(({ name }) => name),
  );
});

/** A change of config.json, and what the weights of the model as it was say of it. */
const WRONG: readonly (readonly [Readonly<Record<string, unknown>>, readonly string[]])[] = [
  [{ num_hidden_layers: 3 }, ["num_hidden_layers is 3 in config.json, but 1 by the weights"]],
  [{ vocab_size: 65 }, ["vocab_size is 65 in config.json, but 64 by the weights"]],
  [{ hidden_size: 32 }, ["hidden_size is 32 in config.json, but 20 by the weights"]],
  [{ intermediate_size: 25 }, ["intermediate_size is 25 in config.json, but 24 by the weights"]],
  [{ head_dim: 16 }, [
    "head_dim is 16 in config.json, but 8 by the weights",
    "num_attention_heads 4 · head_dim 16 is 64 in config.json, but 32 by the weights",
    "num_key_value_heads 2 · head_dim 16 is 32 in config.json, but 16 by the weights",
  ]],
  [{ num_attention_heads: 6 }, [
    "num_attention_heads 6 · head_dim 8 is 48 in config.json, but 32 by the weights",
  ]],
  [{ num_key_value_heads: 4 }, [
    "num_key_value_heads 4 · head_dim 8 is 32 in config.json, but 16 by the weights",
  ]],
];

/** The fields that an error names, and what it tells to do. */
function faults(model: ModelConfig, source: TensorSource): readonly [string[], string] {
  try {
    fitWeights(model, source);
  } catch (error) {
    const lines = (error as Error).message.split("\n");
    assert.equal(
      lines[0],
      "Cannot load weights from the checkpoint: they do not fit its config.json",
    );
    const fields = lines.slice(1, -1).map((line) => line.trim())
      .filter((line) => line.includes("by the weights"));
    return [fields, lines.at(-1)!];
  }
  return [[], "it fits"];
}

Deno.test("fields of config.json that the weights contradict are named", () => {
  // One layer, whose widths all differ.
  const sizes = { num_hidden_layers: 1, hidden_size: 20 };
  const shapes = shapesOf(tinyConfig(sizes));
  for (const [change, fields] of WRONG) {
    const model = tinyConfig({ ...sizes, ...change });
    assert.deepEqual(faults(model, sourceOf(shapes)), [
      ...[fields, "Correct config.json, or take both from the same model"],
    ]);
    // As well under wrapped names.
    const wrapped = new Map([...shapes].map(([name, shape]) => [`module.${name}`, shape]));
    assert.deepEqual(faults(model, sourceOf(wrapped))[0], fields);
  }
  const two = shapesOf(tinyConfig());
  assert.deepEqual(faults(tinyConfig({ num_hidden_layers: 1 }), sourceOf(two))[0], [
    "num_hidden_layers is 1 in config.json, but 2 by the weights",
  ]);
});

Deno.test("fused layers and norms of all heads contradict fields of their own", () => {
  const phi = (change = {}) => tinyConfig({ model_type: "phi3", ...change });
  assert.deepEqual(faults(phi({ intermediate_size: 26 }), sourceOf(shapesOf(phi())))[0], [
    "intermediate_size is 26 in config.json, but 24 by the weights",
  ]);
  assert.deepEqual(faults(phi({ num_attention_heads: 6 }), sourceOf(shapesOf(phi())))[0], [
    "(num_attention_heads 6 + 2 · num_key_value_heads 2) · head_dim 8 is 80 in config.json, but 64 " +
    "by the weights",
  ]);
  const granite = (change = {}) =>
    tinyConfig({
      ...{ model_type: "granitemoehybrid", num_local_experts: 0 },
      ...{ layer_types: ["attention", "attention"], shared_intermediate_size: 32 },
      ...change,
    });
  const shared = granite({ shared_intermediate_size: 40 });
  assert.deepEqual(faults(shared, sourceOf(shapesOf(granite())))[0], [
    "shared_intermediate_size is 40 in config.json, but 32 by the weights",
  ]);
  // OLMo 2's norms are of all heads: their width is not a head's.
  const olmo = (change = {}) => tinyConfig({ model_type: "olmo2", ...change });
  assert.deepEqual(faults(olmo({ num_attention_heads: 2 }), sourceOf(shapesOf(olmo())))[0], [
    "num_attention_heads 2 · head_dim 8 is 16 in config.json, but 32 by the weights",
  ]);
});

Deno.test("the hidden size is the last norm's where there is no embedding", () => {
  const shapes = new Map([...shapesOf(config)].filter(([name]) => name !== EMBEDDING));
  assert.deepEqual(faults(tinyConfig({ hidden_size: 32 }), sourceOf(shapes))[0], [
    "hidden_size is 32 in config.json, but 16 by the weights",
  ]);
  // What is no model at all contradicts nothing.
  assert.deepEqual(faults(config, sourceOf(new Map([["a", [1]]]))), [
    [],
    "Take both from the same model",
  ]);
});
