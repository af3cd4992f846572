/**
 * The gradient of the embedding: each token's, added to the row of its id.
 *
 * In: a batch and the gradient of the first block's input. Out: rows of the embedding's gradient, grown.
 */

import { embeddingScaleIn } from "../embedding_scale.ts";
import { EMBEDDING } from "../parameters.ts";
import { accumulatorName, embeddingBackwardGraph } from "../graphs/training_graphs.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import type { TokenGrid } from "./batch.ts";
import type { EngineContext } from "./engine_context.ts";
import { takeRows } from "./rows.ts";

// Tokens whose embedding gradients a device sums at once: the one-hot matrix has a row for each of
// their ids and a column for each of them.
const CHUNK = 2048;

/**
 * Adds each token's gradient dx [rows · length, hidden] to its row of the embedding's; padding has
 * none, and neither has the config's padding token, as in PyTorch's Embedding.
 */
export function addEmbeddingGradient(
  context: EngineContext,
  grid: TokenGrid,
  dx: Tensor,
  gradient: Tensor,
): void {
  if (context.graphsOnly) return inGraph(context, grid, dx, gradient);
  const { hiddenSize, padTokenId = -1 } = context.config;
  const scale = embeddingScaleIn(context.config, "float32");
  const table = gradient.float32();
  const rows = dx.float32();
  for (let token = 0; token < grid.inputIds.length; token++) {
    if (grid.segmentIds[token] === 0) continue;
    const id = Number(grid.inputIds[token]);
    if (id === padTokenId) continue;
    const to = id * hiddenSize;
    const from = token * hiddenSize;
    for (let i = 0; i < hiddenSize; i++) table[to + i] += scale * rows[from + i];
  }
}

/** The same on a device: a graph that sums the tokens of each id in a fixed order. */
function inGraph(
  context: EngineContext,
  { inputIds, segmentIds }: TokenGrid,
  dx: Tensor,
  gradient: Tensor,
): void {
  const { config: { hiddenSize, padTokenId = -1 }, scratch } = context;
  const graph = context.graph(
    "embedding_backward",
    () => embeddingBackwardGraph(context.config, context.computing),
  );
  const padding = BigInt(padTokenId);
  const real = inputIds.map((id, token) => segmentIds[token] === 0 || id === padding ? -1n : id);
  for (let start = 0; start < real.length; start += CHUNK) {
    const chunk = real.subarray(start, start + CHUNK);
    const ids = BigInt64Array.from(new Set(chunk.filter((id) => id >= 0n)));
    if (ids.length === 0) continue;
    const bytes = start * hiddenSize * byteWidth(dx.dtype);
    using view = context.views ? dx.view(bytes, [chunk.length, hiddenSize]) : undefined;
    const part = view ?? takeRows(context, dx, { start, count: chunk.length });
    graph.run({
      dx: part,
      input_ids: scratch.write("embedded_ids", "int64", [chunk.length], chunk),
      unique_ids: scratch.write("unique_ids", "int64", [ids.length, 1], ids),
      [accumulatorName(EMBEDDING)]: gradient,
    }, { tokens: chunk.length, unique: ids.length });
  }
}
