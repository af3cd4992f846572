/** Every graph that a run on a GPU creates, of several families, precisions and variants. */

import type { Graph } from "../../ort/graph/ir.ts";
import { splitSubgraphs } from "../../ort/graph/subgraphs.ts";
import { mergeGraph } from "../../lora/merge_adapter.ts";
import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { weightNormGraph } from "../../lora/weight_norms.ts";
import { blockKernelsFor } from "../../model/block_kernels.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import { CHUNKED_ATTENTION } from "../../model/engine/attention_chunks.ts";
import {
  chunkBackwardGraph,
  chunkForwardGraph,
  chunkMaskGraph,
} from "../../model/graphs/attention_chunk_graphs.ts";
import { decodeBlockGraph } from "../../model/graphs/decode_graphs.ts";
import { castGraph, zerosGraph } from "../../model/graphs/device_graphs.ts";
import { placeRowsGraph, takeRowsGraph } from "../../model/graphs/row_graphs.ts";
import { distinctKinds, type LayerKind } from "../../model/parts/layer_kind.ts";
import { parameter } from "../../model/parts/parameter_spec.ts";
import type { Precision } from "../../model/precision.ts";
import {
  attentionMaskGraph,
  blockBackwardGraph,
  blockForwardGraph,
  embeddingBackwardGraph,
  embedGraph,
  headBackwardGraph,
  headGraph,
  headLogitsGraph,
  headLossGraph,
  headProductGraph,
} from "../../model/graphs/training_graphs.ts";
import { adamWGraph, adamWRule } from "../../train/optimizers/adamw_graph.ts";
import { findOptimizer } from "../../train/optimizers/optimizers.ts";
import { type GraphStateFormat, PRECISION_FORMATS } from "../../train/optimizers/state_format.ts";
import { MOST_TOGETHER, placeSumsOfSquaresGraph } from "../../train/optimizers/gradient_norms.ts";
import { updateGraph } from "../../train/optimizers/update_graph.ts";
import { sumOfSquaresGraph } from "../../train/optimizers/sum_of_squares_graph.ts";
import { familyConfig } from "../support/tiny_model.ts";
import {
  GEMMA_3_270M,
  LLAMA3_2_1B,
  QWEN2_5_0_5B,
  QWEN3_0_6B,
  QWEN3_1_7B,
} from "../support/model_configs.ts";

/** Models in their own sizes, by name. */
export const FAMILIES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "Qwen3-0.6B": QWEN3_0_6B,
  "Qwen3-1.7B": QWEN3_1_7B,
  "Qwen2.5-0.5B": QWEN2_5_0_5B,
  "Llama-3.2-1B": LLAMA3_2_1B,
  "gemma-3-270m": GEMMA_3_270M,
  "Qwen3 with heads of 20": { ...QWEN3_0_6B, head_dim: 20 },
  "Llama with attention_bias": { ...LLAMA3_2_1B, attention_bias: true },
};
const SMALL = { hidden_size: 32, intermediate_size: 48, vocab_size: 64, head_dim: 16 };
/** Models that are small enough to be run. */
export const SMALL_FAMILIES: typeof FAMILIES = {
  "small Qwen3": { ...QWEN3_0_6B, ...SMALL },
  "small Qwen2": { ...QWEN2_5_0_5B, ...SMALL, num_attention_heads: 4, hidden_size: 64 },
  "small Llama": { ...LLAMA3_2_1B, ...SMALL, attention_bias: true },
  // What these add: windows, growing queries, layers without rotation, multipliers, fused layers, norms
  // behind, capped logits.
  ...Object.fromEntries(
    ([
      "ministral3",
      "smollm3",
      "granite",
      "granitemoehybrid",
      "phi3",
      "olmo2",
      "gemma3_text",
      "qwen3_5_text",
    ] as const)
      .map((family) => [`small ${family}`, familyConfig(family, SMALL).raw]),
  ),
};
const PRECISIONS: readonly Precision[] = ["float32", "bfloat16"];
const BOTH = [false, true];
/** Families whose blocks are built by all methods; of the others full training shows what they add. */
const BY_ALL_METHODS: ReadonlySet<string> = new Set(["qwen3", "qwen2", "llama"]);
/** Methods whose blocks are also built for attention in chunks: of the others the same parts are. */
const IN_CHUNKS: ReadonlySet<string> = new Set(["full", "lora with dropout", "dora"]);

/** A graph and how it came about. */
export interface NamedGraph {
  readonly title: string;
  readonly graph: Graph;
  /** Whether its tensors are small enough to run it. */
  readonly small: boolean;
}

/** All graphs of training and generation. */
export function* everyGraph(): Generator<NamedGraph> {
  for (const families of [FAMILIES, SMALL_FAMILIES]) {
    const small = families === SMALL_FAMILIES;
    for (const [family, json] of Object.entries(families)) {
      const config = parseConfig(json);
      for (const precision of PRECISIONS) {
        for (const [title, graph] of modelGraphs(config, precision)) {
          yield { title: `${family}, ${precision}: ${title}`, graph, small };
        }
      }
    }
  }
  for (const [title, graph] of commonGraphs()) yield { title, graph, small: true };
}

/** The graphs that no model's sizes are in. */
function* commonGraphs(): Generator<[string, Graph]> {
  for (const precision of PRECISIONS) {
    yield [`${precision}: sum of squares`, sumOfSquaresGraph(precision)];
    yield [`${precision}: weight norms`, weightNormGraph(4, { precision })];
    yield [`${precision}: zeros`, zerosGraph(precision)];
    for (const window of [undefined, 4]) {
      const title = `${precision}: attention mask${window ? " of a window" : ""}`;
      yield [title, attentionMaskGraph({ precision, window })];
    }
  }
  for (const dora of BOTH) {
    yield [`merge${dora ? ", dora" : ""}`, mergeGraph({ rank: 8, alpha: 16, rslora: false, dora })];
  }
  yield ["mask of a chunk", chunkMaskGraph()];
  yield ["take rows", takeRowsGraph(16)];
  yield ["place rows", placeRowsGraph(1)];
  for (const count of [1, MOST_TOGETHER]) {
    yield [`place ${count} sums of squares`, placeSumsOfSquaresGraph(count)];
  }
  yield ["cast up", castGraph("bfloat16", "float32")];
  yield ["cast down", castGraph("float32", "bfloat16")];
  const formats: GraphStateFormat[] = ["float32", "master", "bfloat16-stochastic", "bfloat16"];
  for (const format of formats) {
    for (const decays of BOTH) {
      const graph = adamWGraph({ beta1: 0.9, beta2: 0.999 }, decays, format);
      yield [`optimizer ${format}${decays ? ", decay" : ""}`, graph];
    }
  }
  for (const optim of ["adafactor", "muon"]) {
    const matrices = [[48, 32], [32, 48]].map((shape) => parameter("weight", shape));
    const specs = [...matrices, parameter("norm", [32])];
    for (const format of Object.values(PRECISION_FORMATS)) {
      const graphs = findOptimizer(optim).wholeTensors!(specs, format);
      for (const [i, graph] of graphs.entries()) yield [`${optim} ${format} ${i}`, graph];
    }
  }
  const rule = adamWRule();
  const together = { state: Object.keys(rule.state), together: MOST_TOGETHER, update: rule.update };
  yield [
    `optimizer of ${MOST_TOGETHER} tensors together`,
    updateGraph({ ...together, decays: true, format: "float32", guarded: true }),
  ];
}

function* modelGraphs(config: ModelConfig, precision: Precision): Generator<[string, Graph]> {
  yield ["embed", embedGraph(config, { precision })];
  yield ["embedding backward", embeddingBackwardGraph(config, { precision })];
  for (const accumulate of BOTH) {
    for (const frozen of BOTH) {
      const options = { precision, accumulate, frozen, logSoftmax: true };
      yield [title("head", { accumulate, frozen }), headGraph(config, options)];
      const backward = headBackwardGraph(config, options);
      yield [title("head backward", { accumulate, frozen }), backward];
    }
  }
  for (const kind of distinctKinds(config)) yield* blockGraphs(config, { kind, precision });
  for (const whole of precision === "float32" ? BOTH : []) {
    yield [title("a chunk's attention, forward", { whole }), chunkForwardGraph(config, { whole })];
    for (const first of whole ? [false] : BOTH) {
      yield [
        title("a chunk's attention, backward", { whole, first }),
        chunkBackwardGraph(config, { whole, first }),
      ];
    }
  }
  yield ["head loss", headLossGraph(config, { precision, logSoftmax: true })];
  yield ["head product", headProductGraph(config, { precision })];
  yield ["head logits", headLogitsGraph(config, { precision })];
}

/** The graphs of one kind of layers. */
function* blockGraphs(
  config: ModelConfig,
  { kind, precision }: { readonly kind: LayerKind; readonly precision: Precision },
): Generator<[string, Graph]> {
  const of = distinctKinds(config).length > 1 ? `${kind.name}, ` : "";
  const adapters = {
    full: undefined,
    lora: createLoraAdapter(config, { ...DEFAULT_LORA, dropout: 0 }),
    "lora with dropout": createLoraAdapter(config, DEFAULT_LORA),
    dora: createLoraAdapter(config, { ...DEFAULT_LORA, dropout: 0, dora: true }),
    "dora with dropout": createLoraAdapter(config, { ...DEFAULT_LORA, dora: true }),
    "lora with scales by block": createLoraAdapter(config, {
      ...{ ...DEFAULT_LORA, dropout: 0 },
      alphaPattern: { "layers.0.*": 4 },
    }),
    "dora on some blocks": createLoraAdapter(config, {
      ...{ ...DEFAULT_LORA, dropout: 0, dora: true },
      layersToTransform: 0,
      rankPattern: { o_proj: 4 },
    }),
  };
  for (const [method, adapter] of Object.entries(adapters)) {
    if (!BY_ALL_METHODS.has(config.modelType) && method !== "full") continue;
    for (const keep of BOTH) {
      const variants = adapter?.dropout
        ? [{ dropout: true, deviceDropout: false }, { dropout: true, deviceDropout: true }]
        : [{}];
      for (const variant of variants) {
        const inChunks = precision === "float32" && IN_CHUNKS.has(method)
          ? [CHUNKED_ATTENTION]
          : [];
        const own = blockKernelsFor(config, precision, adapter);
        for (const kernels of [undefined, own, ...inChunks]) {
          const options = { kind, precision, adapter, keep, kernels, ...variant };
          const chunked = kernels === CHUNKED_ATTENTION;
          const flags = {
            ...{ keep, ...variant },
            ...{ "own kernels": kernels === own, "attention in chunks": chunked },
          };
          yield* subgraphs(
            title(`${of}${method}, forward`, flags),
            blockForwardGraph(config, options),
          );
          for (const accumulate of BOTH) {
            yield* subgraphs(
              title(`${of}${method}, backward`, { ...flags, accumulate }),
              blockBackwardGraph(config, { ...options, accumulate }),
            );
          }
        }
      }
    }
    // GroupQueryAttention is 16-bit only on CUDA.
    for (const attention of precision === "float32" ? ["plain"] as const : ["fused"] as const) {
      const linear: Parameters<typeof decodeBlockGraph>[1] = adapter && {
        linear: (b, weights) => adapter.wrap(b, weights, { training: false }).linear,
      };
      const graph = decodeBlockGraph(config, { kind, precision, attention, ...linear });
      yield [`${of}${method}, decode with ${attention} attention`, graph];
      if (kind.delta) {
        const single = decodeBlockGraph(config, { kind, precision, attention, single: true });
        yield [`${of}${method}, decode single tokens`, single];
        continue;
      }
      if (attention === "plain") {
        const chosen = decodeBlockGraph(config, {
          ...{ kind, precision, attention, chosen: true },
          ...linear,
        });
        yield [`${of}${method}, decode chosen sequences`, chosen];
      }
    }
  }
}

/** What sessions run of a graph. */
function* subgraphs(title: string, graph: Graph): Generator<[string, Graph]> {
  for (const [i, subgraph] of splitSubgraphs(graph).steps.entries()) {
    if (subgraph.graph) yield [`${title}, step ${i}`, subgraph.graph];
  }
}

function title(name: string, flags: Readonly<Record<string, boolean>>): string {
  const set = Object.entries(flags).filter(([, on]) => on).map(([flag]) => flag);
  return [name, ...set].join(", ");
}
