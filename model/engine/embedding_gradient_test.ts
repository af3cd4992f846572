import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { draws } from "../../tests/support/random.ts";
import { randomWeights, tinyConfig } from "../../tests/support/tiny_model.ts";
import { crossEntropy } from "../graphs/cross_entropy.ts";
import { addEmbeddingGradient } from "./embedding_gradient.ts";
import { EngineContext } from "./engine_context.ts";

const [VOCAB, WIDTH] = [6, 4];
const SIZES = { vocab_size: VOCAB, hidden_size: WIDTH, num_hidden_layers: 1 };
// More than two pieces of 2048 tokens, of which the second is all padding.
const TOKENS = 2 * 2048 + 5;

const draw = draws(2);
const ids = Array.from({ length: TOKENS }, () => Math.floor(draw(0, VOCAB)));
const segmentIds = Int32Array.from(
  { length: TOKENS },
  (_, token) => token >= 2048 && token < 4096 || token % 7 === 3 ? 0 : 1,
);
const dx = Float32Array.from({ length: TOKENS * WIDTH }, () => draw());
const before = Float32Array.from({ length: VOCAB * WIDTH }, () => draw());

/** Ways to the embedding's gradient: on the host, in graphs, and in graphs where rows must be copied. */
const WAYS = [
  ["on the host", { graphsOnly: false, views: true }],
  ["in graphs", { graphsOnly: true, views: true }],
  ["in graphs without views", { graphsOnly: true, views: false }],
] as const;

Deno.test("each token's gradient is added to its id's row, but for padding", () => {
  using runtime = new Runtime({ threads: 1 });
  for (
    const config of [
      tinyConfig(SIZES),
      tinyConfig({ ...SIZES, pad_token_id: 2 }),
      tinyConfig({ ...SIZES, pad_token_id: 0 }),
      tinyConfig({ ...SIZES, model_type: "granite", embedding_multiplier: 3 }),
    ]
  ) {
    const expected = [...before];
    ids.forEach((id, token) => {
      if (segmentIds[token] === 0 || id === config.padTokenId) return;
      for (let i = 0; i < WIDTH; i++) {
        expected[id * WIDTH + i] += config.embeddingScale * dx[token * WIDTH + i];
      }
    });
    using weights = randomWeights(runtime, config);
    for (const [label, { graphsOnly, views }] of WAYS) {
      using context = new EngineContext({
        ...{ runtime, config, weights, objective: crossEntropy, graphsOnly },
      });
      const seen = {
        ...{ config, graphsOnly, views, scratch: context.scratch, computing: context.computing },
        graph: context.graph.bind(context),
      } as EngineContext;
      using gradient = Tensor.from(runtime, "float32", [VOCAB, WIDTH], before);
      using given = Tensor.from(runtime, "float32", [TOKENS, WIDTH], dx);
      const grid = {
        ...{ rows: 1, length: TOKENS, segmentIds },
        inputIds: BigInt64Array.from(ids, BigInt),
        positionIds: new BigInt64Array(TOKENS),
      };
      addEmbeddingGradient(seen, grid, given, gradient);
      // Sums of up to 350 numbers in float32; measured 4e-6.
      assertClose([...gradient.float32()], expected, { absolute: 3e-5, label });
    }
  }
});
