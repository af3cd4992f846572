import assert from "node:assert/strict";
import type { Graph } from "../../ort/graph/ir.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import { randomWeights, tinyConfig } from "../../tests/support/tiny_model.ts";
import type { ModelConfig } from "../config.ts";
import { crossEntropy } from "../graphs/cross_entropy.ts";
import { ropeTables } from "../rope.ts";
import type { TokenGrid } from "./batch.ts";
import { EngineContext } from "./engine_context.ts";
import { GridInputs } from "./grid_inputs.ts";
import { fillKeepMask, randomOdd } from "./keep_mask.ts";

const runtime = new Runtime({ threads: 2 });

/** Two rows: of two examples, and of one with padding. */
const GRID: TokenGrid = {
  rows: 2,
  length: 4,
  inputIds: BigInt64Array.of(5n, 6n, 7n, 63n, 0n, 1n, 0n, 0n),
  positionIds: BigInt64Array.of(0n, 1n, 2n, 0n, 0n, 1n, 0n, 0n),
  segmentIds: Int32Array.of(1, 1, 1, 2, 3, 3, 0, 0),
};

/** Calls with inputs of a model. */
function withInputs(
  config: ModelConfig,
  use: (inputs: GridInputs, context: EngineContext) => void,
  { attentionChunk, dropout = 0 }: { readonly attentionChunk?: number; readonly dropout?: number } =
    {},
): void {
  using weights = randomWeights(runtime, config);
  using context = new EngineContext({
    ...{ runtime, config, weights, objective: crossEntropy, graphsOnly: false, attentionChunk },
  });
  use(new GridInputs(context, dropout), context);
}

/** Shapes and numbers by name. */
function read(tensors: TensorMap): Readonly<Record<string, readonly [string, readonly number[]]>> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      const { buffer, byteOffset, byteLength } = tensor.bytes().slice();
      const numbers = tensor.dtype === "int64"
        ? Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number)
        : tensor.dtype === "int32"
        ? [...new Int32Array(buffer, byteOffset, byteLength / 4)]
        : [...new Float32Array(buffer, byteOffset, byteLength / 4)];
      return [name, [`${tensor.dtype} ${tensor.shape}`, numbers]];
    }),
  );
}

/** The mask by its definition. */
function maskOf(window = Infinity): number[] {
  const { rows, length, segmentIds } = GRID;
  return Array.from({ length: rows * length ** 2 }, (_, at) => {
    const [token, key] = [Math.floor(at / length), at % length];
    const [row, query] = [Math.floor(token / length), token % length];
    const seen = segmentIds[token] === segmentIds[row * length + key] && key <= query &&
      query - key < window;
    return seen ? 0 : -1e9;
  });
}

const POSITIONS = ["int64 2,4", Array.from(GRID.positionIds, Number)] as const;

function tables(config: ModelConfig, positions: number) {
  const { cos, sin } = ropeTables(config.layerKinds[0].rope!, positions);
  const shape = `float32 ${positions},4`;
  return { cos: [shape, [...cos]], sin: [shape, [...sin]] } as const;
}

Deno.test("layers share positions and tables, and a mask of their window", () => {
  // The first layer sees all, and the second two tokens.
  const sliding = { use_sliding_window: true, sliding_window: 2, max_window_layers: 1 };
  const config = tinyConfig(sliding);
  withInputs(config, (inputs, context) => {
    const shared = inputs.embed(GRID);
    assert.deepEqual([...shared.keys()], config.layerKinds);
    const rest = { position_ids: POSITIONS, ...tables(config, 4) };
    const [full, window] = config.layerKinds.map((kind) => read(shared.get(kind)!));
    assert.deepEqual(full, { ...rest, mask: ["float32 2,1,1,4,4", maskOf()] });
    assert.deepEqual(window, { ...rest, mask: ["float32 2,1,1,4,4", maskOf(2)] });
    const table = context.weights.tensor("model.embed_tokens.weight").float32();
    const rows = Array.from(GRID.inputIds, Number)
      .flatMap((id) => [...table.subarray(16 * id, 16 * id + 16)]);
    assert.deepEqual([...context.hidden(0, GRID).float32()], rows);
  });
  // A window that holds whole examples is none: of three tokens here.
  for (const [sliding_window, same] of [[2, false], [3, true], [9, true]] as const) {
    const other = tinyConfig({ ...sliding, sliding_window });
    withInputs(other, (inputs) => {
      const shared = inputs.embed(GRID);
      const [a, b] = other.layerKinds.map((kind) => shared.get(kind)!.mask);
      assert.equal(a === b, same);
    });
  }
});

Deno.test("attention by segments takes bounds in place of a mask", () => {
  const config = tinyConfig({ use_sliding_window: true, sliding_window: 2, max_window_layers: 1 });
  withInputs(config, (inputs) => {
    const shared = inputs.embed(GRID);
    const rest = { position_ids: POSITIONS, ...tables(config, 4) };
    const [full, window] = config.layerKinds.map((kind) => read(shared.get(kind)!));
    // Tokens of padding are segments of their own.
    assert.deepEqual(full, {
      ...rest,
      segment_starts: ["int32 8", [0, 0, 0, 3, 4, 4, 6, 7]],
      segment_ends: ["int32 8", [3, 3, 3, 4, 6, 6, 7, 8]],
    });
    assert.deepEqual(window, {
      ...rest,
      segment_starts: ["int32 8", [0, 0, 1, 3, 4, 4, 6, 7]],
      segment_ends: ["int32 8", [2, 3, 3, 4, 6, 6, 7, 8]],
    });
  }, { attentionChunk: 4 });
});

Deno.test("tables of positions grow with the longest, and are as long as a row", () => {
  const config = tinyConfig({ num_hidden_layers: 1 });
  const [kind] = config.layerKinds;
  withInputs(config, (inputs) => {
    const positions = (positionIds: BigInt64Array) =>
      inputs.embed({ ...GRID, positionIds }).get(kind)!.cos.shape[0];
    const short = GRID.positionIds;
    assert.equal(positions(short), 4);
    assert.equal(positions(short.with(5, 3n)), 4);
    assert.equal(positions(short.with(5, 4n)), 5);
    assert.equal(positions(short.with(0, 9n)), 10);
    // What was made stays.
    assert.equal(positions(short), 10);
    const { cos } = inputs.embed(GRID).get(kind)!;
    assert.deepEqual([...cos.float32()], [...ropeTables(kind.rope!, 10).cos]);
  });
});

Deno.test("layers that turn nothing take no tables", () => {
  const config = tinyConfig({ model_type: "smollm3", no_rope_layer_interval: 2 });
  withInputs(config, (inputs) => {
    const shared = inputs.embed(GRID);
    const names = config.layerKinds.map((kind) => Object.keys(shared.get(kind)!));
    assert.deepEqual(names, [["position_ids", "mask", "cos", "sin"], ["position_ids", "mask"]]);
  });
});

Deno.test("layers that carry a state take what keeps segments apart", () => {
  const config = tinyConfig({
    ...{ model_type: "qwen3_5_text", full_attention_interval: 2, linear_num_key_heads: 2 },
    ...{ linear_num_value_heads: 2, linear_key_head_dim: 4, linear_value_head_dim: 4 },
  });
  withInputs(config, (inputs) => {
    const shared = inputs.embed(GRID);
    const [delta, full] = config.layerKinds.map((kind) => Object.keys(shared.get(kind)!));
    assert.deepEqual(delta, ["segment_taps", "segment_pairs", "segment_carried", "segment_kept"]);
    assert.deepEqual(full, ["position_ids", "mask", "cos", "sin"]);
    const { segment_taps } = read(shared.get(config.layerKinds[0])!);
    assert.deepEqual(segment_taps, ["float32 8,3", [
      ...[0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0],
      ...[0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0],
    ]]);
  });
});

Deno.test("noise is at most alpha over the root of an example's numbers, and none of padding", () => {
  const rows = (model: Readonly<Record<string, unknown>>, places?: Int32Array) => {
    const config = tinyConfig({ num_hidden_layers: 1, ...model });
    let found: readonly (readonly number[])[] = [];
    withInputs(config, (inputs, context) => {
      inputs.embed(GRID);
      const plain = context.hidden(0, GRID).float32().slice();
      inputs.embed(GRID, { alpha: 6, seed: "s", places });
      const noisy = context.hidden(0, GRID).float32();
      const { scratch } = context;
      assert.deepEqual(
        [...new Int32Array(scratch.tensor("noise_rows", "int32", [8, 1]).bytes().slice().buffer)],
        [...randomOdd(8, ["s", "noise_rows"], places)],
      );
      const sizes = [...scratch.tensor("noise_sizes", "float32", [8, 1]).float32()];
      const most = Array.from(
        { length: 8 },
        (_, token) =>
          plain.subarray(16 * token, 16 * token + 16)
            .reduce((most, each, i) => Math.max(most, Math.abs(noisy[16 * token + i] - each)), 0),
      );
      found = [sizes, most];
    });
    return found;
  };
  // Of examples of 3, 1 and 2 tokens.
  const scale = (tokens: number): number =>
    tokens === 0 ? 0 : Math.fround(6 * Math.fround(1 / Math.sqrt(16 * tokens)));
  const expected = [3, 3, 3, 1, 2, 2, 0, 0].map(scale);
  for (const places of [undefined, Int32Array.of(9, 8, 7, 6, 5, 4, 3, 2)]) {
    const [sizes, most] = rows({}, places);
    assert.deepEqual(sizes, expected);
    most.forEach((each, token) => {
      assert.ok(each <= sizes[token] + 1e-6, `${token}`);
      // Of 16 numbers the largest is nearly always more than half.
      if (sizes[token] > 0) assert.ok(each > sizes[token] / 4, `${token}`);
    });
  }
  // Granite multiplies noise with embeddings, Gemma embeddings alone.
  const granite = rows({ model_type: "granite", embedding_multiplier: 2 })[0];
  assert.deepEqual(granite.map((each) => each / 2), expected);
  assert.deepEqual(rows({ model_type: "gemma3_text", sliding_window_pattern: 1 })[0], expected);
});

Deno.test("tokens that are none of the vocabulary's are refused by their place", () => {
  withInputs(tinyConfig({ num_hidden_layers: 1 }), (inputs) => {
    for (const [at, id] of [[0, -1n], [7, 64n]] as const) {
      assert.throws(() => inputs.embed({ ...GRID, inputIds: GRID.inputIds.with(at, id) }), {
        name: "RangeError",
        message:
          `Cannot run token ${at}: its id ${id} is not from 0 to below vocab_size 64; use the ` +
          "tokenizer of this model",
      });
    }
  });
});

Deno.test("positions are refused where rotary embeddings are computed no further", () => {
  const run = (rope_scaling: unknown, last: bigint): void =>
    withInputs(
      tinyConfig({ num_hidden_layers: 1, max_position_embeddings: 8, rope_scaling }),
      (inputs) => void inputs.embed({ ...GRID, positionIds: GRID.positionIds.with(2, last) }),
    );
  const dynamic = { rope_type: "dynamic", factor: 2 };
  run(dynamic, 7n);
  assert.throws(() => run(dynamic, 8n), {
    name: "RangeError",
    message: "Cannot run position 8: max_position_embeddings is 8, and rotary embeddings of type " +
      "dynamic are computed up to there only; shorten the sequence",
  });
  const factors = { short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] };
  const long = { rope_type: "longrope", ...factors, original_max_position_embeddings: 6 };
  run(long, 5n);
  assert.throws(() => run(long, 6n), {
    message:
      "Cannot run position 6: original_max_position_embeddings is 6, and rotary embeddings of " +
      "type longrope are computed up to there only; shorten the sequence",
  });
  // Others are computed for any position.
  for (const scaling of [undefined, { rope_type: "linear", factor: 2 }]) run(scaling, 20n);
});

Deno.test("dropout masks are drawn by seed, layer, name and place", () => {
  const graph = {
    inputs: [
      { name: "q.dropout_mask", dtype: "uint8", shape: ["length*rows", 3] },
      { name: "v.dropout_mask", dtype: "uint8", shape: ["length*rows", 2] },
      { name: "x", dtype: "float32", shape: ["length*rows", 16] },
    ],
  } as unknown as Graph;
  withInputs(tinyConfig({ num_hidden_layers: 1 }), (inputs) => {
    assert.deepEqual(inputs.dropoutMasks(graph, { layer: 1, grid: GRID }), {});
    for (const places of [undefined, Int32Array.of(7, 6, 5, 4, 3, 2, 1, 0)]) {
      for (const layer of [0, 1]) {
        const masks = inputs.dropoutMasks(graph, { layer, seed: 0, grid: GRID, places });
        assert.deepEqual(Object.keys(masks), ["q.dropout_mask", "v.dropout_mask"]);
        for (const [name, width] of [["q.dropout_mask", 3], ["v.dropout_mask", 2]] as const) {
          const expected = new Uint8Array(8 * width);
          fillKeepMask(expected, 0.4, [0, layer, name], places);
          assert.deepEqual([masks[name].shape, masks[name].bytes().slice()], [
            [8, width],
            expected,
          ]);
        }
      }
    }
  }, { dropout: 0.4 });
});

Deno.test("graphs that make masks take new rows a batch, and the same columns ever", () => {
  const graph = {
    inputs: [
      { name: "dropout_rows", dtype: "int32", shape: ["length*rows", 1] },
      { name: "q.dropout_columns", dtype: "int32", shape: [3] },
    ],
  } as unknown as Graph;
  withInputs(tinyConfig({ num_hidden_layers: 1 }), (inputs) => {
    const ask = (layer: number, seed: string, places?: Int32Array) =>
      read(inputs.dropoutMasks(graph, { layer, seed, grid: GRID, places }));
    const rows = (
      seed: string,
      places?: Int32Array,
    ) => ["int32 8,1", [...randomOdd(8, [seed, "dropout_rows"], places)]];
    const columns = (
      layer: number,
    ) => ["int32 3", [...randomOdd(3, [`${layer}.q.dropout_columns`])]];
    inputs.embed(GRID);
    for (const layer of [0, 1, 0]) {
      assert.deepEqual(ask(layer, "a"), {
        dropout_rows: rows("a"),
        "q.dropout_columns": columns(layer),
      });
    }
    // Sent once a batch: all layers share them.
    assert.deepEqual(ask(1, "b").dropout_rows, rows("a"));
    inputs.embed(GRID);
    const places = Int32Array.of(7, 6, 5, 4, 3, 2, 1, 0);
    assert.deepEqual(ask(1, "b", places), {
      dropout_rows: rows("b", places),
      "q.dropout_columns": columns(1),
    });
  });
});
