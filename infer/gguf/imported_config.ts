/**
 * A GGUF's metadata as config.json.
 *
 * In: the metadata, and a few of the tensors. Out: the fields of the architecture's family, or an error that says
 * what is not supported. The keys are those that llama.cpp's converter writes (`conversion/`), and their
 * defaults those of its `llama-model.cpp`.
 *
 * @module
 */

import type { GgufFile } from "../../gguf/mod.ts";
import { FAMILIES, type ModelType } from "../../model/families/families.ts";
import type { MetadataReader } from "./metadata_reader.ts";
import { GGUF_ARCHITECTURES } from "./tensor_names.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What a family's own fields are made of. */
interface Source {
  readonly reader: MetadataReader;
  readonly file: GgufFile;
  /** A key with the architecture's name before it. */
  readonly key: (name: string) => string;
  readonly headDim: number;
  readonly layers: number;
  /** Numbers of a head that are turned. */
  readonly turned: number;
}

/** What the family of an architecture adds to the fields that all have, or takes away. */
type Extra = (source: Source) => Fields;

/** What GGUF leaves to llama.cpp's own code: every sixth layer of Gemma 3 sees all tokens. */
const GEMMA_PATTERN = 6;
/** The same of how the other layers turn. */
const GEMMA_LOCAL_BASE = 10_000;
/** Rows that Llama 3's frequencies are scaled by: all of its models have these. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original: 8192 };
/** Factors are stored as float32. */
const FACTOR_TOLERANCE = 1e-5;

const biases: Extra = ({ file }) => ({
  attention_bias: file.tensors.has("blk.0.attn_q.bias"),
});

/** The families that are read back, by llama.cpp's names. */
const ARCHITECTURES: Readonly<Record<string, { readonly type: ModelType; readonly extra: Extra }>> =
  {
    llama: { type: "llama", extra: biases },
    qwen2: { type: "qwen2", extra: () => ({ use_sliding_window: false }) },
    qwen3: { type: "qwen3", extra: biases },
    smollm3: { type: "smollm3", extra: () => ({ attention_bias: false }) },
    olmo2: { type: "olmo2", extra: () => ({ attention_bias: false }) },
    granite: {
      type: "granite",
      extra: (source) => {
        const { reader, key } = source;
        if (!reader.flag(key("rope.scaling.finetuned"), true)) {
          reader.fail(
            key("rope.scaling.finetuned"),
            "is false: Granite 4 without positions is not read back; take it from its own repository",
          );
        }
        return {
          ...biases(source),
          attention_multiplier: reader.real(key("attention.scale")),
          embedding_multiplier: reader.real(key("embedding_scale")),
          residual_multiplier: reader.real(key("residual_scale")),
          logits_scaling: reader.real(key("logit_scale")),
        };
      },
    },
    phi3: {
      type: "phi3",
      extra: ({ reader, key, turned, headDim }) => {
        const window = reader.whole(key("attention.sliding_window"), 0);
        return {
          partial_rotary_factor: turned / headDim,
          sliding_window: window > 0 ? window : null,
          original_max_position_embeddings: reader.whole(
            key("rope.scaling.original_context_length"),
            reader.whole(key("context_length")),
          ),
        };
      },
    },
    gemma3: {
      type: "gemma3_text",
      extra: ({ reader, key, headDim, layers }) => {
        if (layers === 62) {
          reader.fail(
            key("block_count"),
            "is 62: Gemma 3 27B scales its scores by a number of its own",
          );
        }
        const pattern = reader.whole(key("attention.sliding_window_pattern"), GEMMA_PATTERN);
        const cap = reader.real(key("final_logit_softcapping"), 0);
        return {
          hidden_activation: "gelu_pytorch_tanh",
          attn_logit_softcapping: null,
          final_logit_softcapping: cap > 0 ? cap : null,
          layer_types: Array.from(
            { length: layers },
            (_, layer) => (layer + 1) % pattern ? "sliding_attention" : "full_attention",
          ),
          query_pre_attn_scalar: headDim,
          rope_local_base_freq: reader.real(key("rope.freq_base_swa"), GEMMA_LOCAL_BASE),
          sliding_window: reader.whole(key("attention.sliding_window")),
        };
      },
    },
  };

/** Families whose windows are read. */
const WITH_WINDOWS: ReadonlySet<ModelType> = new Set(["phi3", "gemma3_text"]);

/** Keys of models that these architectures have too and that are not read. */
const REFUSED: Readonly<Record<string, string>> = {
  "expert_count": "mixtures of experts are not supported; use a dense model",
  "attn_logit_softcapping": "scores of attention with a cap are not supported",
};

/**
 * The config.json of a model.
 *
 * @throws {RangeError} naming the key, and what is supported
 */
export async function importedConfig(
  file: GgufFile,
  reader: MetadataReader,
): Promise<Readonly<Record<string, unknown>> & { readonly model_type: ModelType }> {
  const name = reader.text("general.architecture");
  if (!Object.hasOwn(ARCHITECTURES, name)) {
    reader.fail(
      "general.architecture",
      `is ${JSON.stringify(name)}: ortune reads ${Object.keys(ARCHITECTURES).join(", ")} back`,
    );
  }
  const { type, extra } = ARCHITECTURES[name];
  const key = (local: string): string => `${GGUF_ARCHITECTURES[type].name}.${local}`;
  for (const [local, why] of Object.entries(REFUSED)) {
    const value = reader.real(key(local), 0);
    if (value !== 0) reader.fail(key(local), `is ${value}: ${why}`);
  }
  const hiddenSize = reader.whole(key("embedding_length"));
  const heads = reader.whole(key("attention.head_count"));
  if (heads === 0) reader.fail(key("attention.head_count"), "is 0, a number from 1 on expected");
  const headDim = reader.whole(key("attention.key_length"), Math.floor(hiddenSize / heads));
  const turned = reader.whole(key("rope.dimension_count"), headDim);
  if (turned !== headDim && type !== "phi3") {
    reader.fail(
      key("rope.dimension_count"),
      `is ${turned} of heads of ${headDim} numbers: heads that are turned in part are not supported`,
    );
  }
  const valueDim = reader.whole(key("attention.value_length"), headDim);
  if (valueDim !== headDim) {
    reader.fail(
      key("attention.value_length"),
      `is ${valueDim} where attention.key_length is ${headDim}: heads of one width alone are supported`,
    );
  }
  const window = reader.whole(key("attention.sliding_window"), 0);
  if (window > 0 && !WITH_WINDOWS.has(type)) {
    reader.fail(
      key("attention.sliding_window"),
      `is ${window}: which layers of this architecture see windows is not known`,
    );
  }
  const layers = reader.whole(key("block_count"));
  const source: Source = { reader, file, key, headDim, layers, turned };
  const activation = type === "gemma3_text" ? {} : { hidden_act: "silu" };
  return {
    architectures: [`${FAMILIES[type].className}ForCausalLM`],
    model_type: type,
    vocab_size: file.tensor("token_embd.weight").shape[0],
    hidden_size: hiddenSize,
    intermediate_size: reader.whole(key("feed_forward_length")),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: reader.whole(key("attention.head_count_kv"), heads),
    head_dim: headDim,
    ...activation,
    max_position_embeddings: reader.whole(key("context_length")),
    rms_norm_eps: reader.real(key("attention.layer_norm_rms_epsilon")),
    rope_theta: reader.real(key("rope.freq_base"), 10_000),
    rope_scaling: await ropeScaling(source),
    // A GGUF without a head has one matrix for both.
    tie_word_embeddings: !file.tensors.has("output.weight"),
    attention_dropout: 0,
    initializer_range: 0.02,
    use_cache: true,
    ...extra(source),
  };
}

/** How positions beyond those of pretraining are scaled. */
async function ropeScaling({ reader, key, file, turned }: Source): Promise<Fields | null> {
  const type = reader.text(key("rope.scaling.type"), "none");
  const original = (): number => reader.whole(key("rope.scaling.original_context_length"));
  const factor = (): number => reader.real(key("rope.scaling.factor"));
  const attention = reader.real(key("rope.scaling.attn_factor"), 1);
  switch (type) {
    case "none":
      break;
    case "linear":
      return { rope_type: "linear", factor: factor() };
    case "yarn": {
      // llama.cpp multiplies YaRN's usual factor by this one.
      const usual = 0.1 * Math.log(factor()) + 1;
      return {
        rope_type: "yarn",
        factor: factor(),
        original_max_position_embeddings: original(),
        ...attention === 1 ? {} : { attention_factor: attention * usual },
      };
    }
    case "longrope":
      break;
    default:
      reader.fail(key("rope.scaling.type"), `is ${JSON.stringify(type)}, which is not supported`);
  }
  if (file.tensors.has("rope_factors_long.weight")) {
    const [long, short] = await Promise.all(
      ["long", "short"].map(async (which) => [
        ...await file.readRows(`rope_factors_${which}.weight`, 0, 1),
      ]),
    );
    return { rope_type: "longrope", long_factor: long, short_factor: short };
  }
  if (!file.tensors.has("rope_freqs.weight")) return null;
  const theta = reader.real(key("rope.freq_base"), 10_000);
  return llama3Scaling(await file.readRows("rope_freqs.weight", 0, 1), { theta, turned, reader });
}

/** What Llama 3's factors were calculated from. */
function llama3Scaling(
  factors: Float32Array,
  { theta, turned, reader }: {
    readonly theta: number;
    readonly turned: number;
    readonly reader: MetadataReader;
  },
): Fields {
  const { low_freq_factor: low, high_freq_factor: high, original } = LLAMA3;
  const factor = Math.max(...factors);
  const fits = factors.length === turned / 2 && factors.every((each, i) => {
    const turns = original * theta ** (-2 * i / turned) / (2 * Math.PI);
    const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return Math.abs(each * ((1 - smooth) / factor + smooth) - 1) < FACTOR_TOLERANCE;
  });
  if (!fits) {
    reader.fail(
      "rope_freqs.weight",
      "holds factors that are not Llama 3's for 8192 original positions; take the model from its own " +
        "repository",
    );
  }
  return {
    rope_type: "llama3",
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: original,
  };
}
