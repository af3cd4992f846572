/**
 * LoRA in the block graph: y = base(x) + scale·B·A·dropout(x), or DoRA's scaled rows of it. In:
 * settings. Out: a `BlockAdapter`.
 *
 * @module
 */

import type { GraphBuilder } from "../ort/graph/builder.ts";
import type { Value } from "../ort/graph/ir.ts";
import { type HashedDropout, hashedDropout, loraDown, loraUp } from "../ort/graph/kernel_ops.ts";
import * as ops from "../ort/graph/ops.ts";
import {
  type BlockAdapter,
  DROPOUT_COLUMNS,
  DROPOUT_MASK,
  DROPOUT_ROWS,
  plainLinear,
} from "../model/graphs/block.ts";
import type { BlockKernel, LinearLayer } from "../model/parts/block_scope.ts";
import type { ModelConfig } from "../model/config.ts";
import { blockLinears, layerName, layerOf } from "../model/parameters.ts";
import { distinctKinds, type LayerKind } from "../model/parts/layer_kind.ts";
import type { ParameterSpec } from "../model/parts/parameter_spec.ts";
import type { StackedParameter } from "../model/stacked_parameters.ts";
import type { LoraOptions } from "./lora_options.ts";
import { type LoraTarget, loraTargets } from "./lora_targets.ts";

/** The name of a layer's A, [rank, in]. */
export function loraA(layer: string): string {
  return `${layer}.lora_A.weight`;
}

/** The name of a layer's B, [out, rank]. */
export function loraB(layer: string): string {
  return `${layer}.lora_B.weight`;
}

/** The name of a layer's magnitudes m, [out]: DoRA's. */
export function loraMagnitude(layer: string): string {
  return `${layer}.lora_magnitude_vector`;
}

/** The name of the norms of the rows of W + scale·B·A, [out]: DoRA's, not saved. */
export function loraNorm(layer: string): string {
  return `${layer}.lora_weight_norm`;
}

/** The name of a layer's factor on B·A·x, [1], where it is not the same in all blocks; not saved. */
export function loraScaleInput(layer: string): string {
  return `${layer}.lora_scale`;
}

/** The name of 1 where a layer has an adapter and 0 where it has none, [1]: DoRA's, not saved. */
export function loraActive(layer: string): string {
  return `${layer}.lora_active`;
}

/**
 * A linear layer's adapters in all blocks. As the blocks share one graph, each has the largest rank; the
 * rows of A and columns of B beyond a block's own, all of them where it has no adapter, are zeros: so are
 * then their gradients, and AdamW leaves them alone.
 */
export interface AdaptedLayer {
  /** Its name inside a block. */
  readonly name: string;
  /** The largest rank. */
  readonly rank: number;
  /** The factor on B·A·x, where it is the same in all blocks that have an adapter. */
  readonly scale: number | undefined;
  /** Whether all blocks that have the layer have an adapter. */
  readonly everywhere: boolean;
  /** [out, in] */
  readonly shape: readonly number[];
}

/** The linear layers that have an adapter in any block. */
export function adaptedLayers(config: ModelConfig, lora: LoraOptions): readonly AdaptedLayer[] {
  const targets = Map.groupBy(loraTargets(config, lora), ({ name }) => name);
  const counts = new Map<string, number>();
  for (const { names } of layersWithLinears(config)) {
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return blockLinears(config).filter(({ name }) => targets.has(name)).map(({ name, shape }) => {
    const of = targets.get(name)!;
    return {
      name,
      rank: of.reduce((most, { rank }) => Math.max(most, rank), 0),
      scale: of.every(({ scale }) => scale === of[0].scale) ? of[0].scale : undefined,
      everywhere: of.length === counts.get(name),
      shape,
    };
  });
}

/** The linear layers' names in each of the blocks. */
function layersWithLinears(
  config: ModelConfig,
): readonly { readonly layer: number; readonly names: ReadonlySet<string> }[] {
  const names = new Map(
    distinctKinds(config).map((kind) => [
      kind,
      new Set(blockLinears(config, kind).map(({ name }) => name)),
    ]),
  );
  return config.layerKinds.map((kind, layer) => ({ layer, names: names.get(kind)! }));
}

/** An adapter's weights as they are saved: of the layers that have one, each with its own rank. */
export function loraParameters(config: ModelConfig, lora: LoraOptions): readonly ParameterSpec[] {
  const shapes = new Map(adaptedLayers(config, lora).map(({ name, shape }) => [name, shape]));
  return loraTargets(config, lora).flatMap(({ layer, name, rank }) =>
    layerParameters(layerName(layer, name), { rank, shape: shapes.get(name)! }, lora)
  );
}

function layerParameters(
  name: string,
  { rank, shape: [outputs, inputs] }: Pick<AdaptedLayer, "rank" | "shape">,
  { dora }: LoraOptions,
): readonly ParameterSpec[] {
  return [
    { name: loraA(name), shape: [rank, inputs], decays: true },
    { name: loraB(name), shape: [outputs, rank], decays: true },
    ...dora ? [{ name: loraMagnitude(name), shape: [outputs], decays: true }] : [],
  ];
}

/** What the graph takes besides the trained weights, as constants. */
function derivedSpecs(layers: readonly AdaptedLayer[], { dora }: LoraOptions): ParameterSpec[] {
  const number = (name: string): ParameterSpec => ({ name, shape: [1], decays: false });
  return layers.flatMap(({ name, shape: [outputs], scale, everywhere }) => [
    ...dora ? [{ name: loraNorm(name), shape: [outputs], decays: false }] : [],
    ...scale === undefined ? [number(loraScaleInput(name))] : [],
    ...dora && !everywhere ? [number(loraActive(name))] : [],
  ]);
}

/** The values of the constants of all blocks that do not depend on weights, by their full names. */
export function adapterConstants(
  config: ModelConfig,
  lora: LoraOptions,
): ReadonlyMap<string, number> {
  const targets = new Map<string, LoraTarget>(
    loraTargets(config, lora).map((each) => [layerName(each.layer, each.name), each]),
  );
  const constants = new Map<string, number>();
  for (const { name, scale, everywhere } of adaptedLayers(config, lora)) {
    for (const { layer, names } of layersWithLinears(config)) {
      if (!names.has(name)) continue;
      const full = layerName(layer, name);
      const target = targets.get(full);
      if (scale === undefined) constants.set(loraScaleInput(full), target?.scale ?? 0);
      if (lora.dora && !everywhere) constants.set(loraActive(full), target ? 1 : 0);
    }
  }
  return constants;
}

/**
 * Makes the adapter of a model's blocks.
 *
 * @example
 * ```ts
 * import { DEFAULT_LORA, parseConfig } from "@ortune/ortune";
 * import { createLoraAdapter } from "@ortune/ortune/lora";
 * import { blockForwardGraph } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const adapter = createLoraAdapter(config, { ...DEFAULT_LORA, targetModules: ["q_proj"] });
 * const graph = blockForwardGraph(config, { adapter });
 * assert.ok(graph.inputs.some(({ name }) => name === "self_attn.q_proj.lora_A.weight"));
 * ```
 */
export function createLoraAdapter(config: ModelConfig, lora: LoraOptions): BlockAdapter {
  const layers = adaptedLayers(config, lora);
  const inKinds = new Map(
    distinctKinds(config).map((kind) => [
      kind,
      new Set(blockLinears(config, kind).map(({ name }) => name)),
    ]),
  );
  const layersOf = (kind: LayerKind): readonly AdaptedLayer[] =>
    layers.filter(({ name }) => inKinds.get(kind)!.has(name));
  const parametersOf = (some: readonly AdaptedLayer[]): readonly ParameterSpec[] =>
    some.flatMap((layer) => layerParameters(layer.name, layer, lora));
  const [{ rank, scale: alike }] = layers;
  const same = layers.every((each) => each.rank === rank && each.scale === alike);
  const byName = new Map(layers.map((each) => [each.name, each]));
  return {
    parameters: (kind) => parametersOf(layersOf(kind)),
    derived: (kind) => derivedSpecs(layersOf(kind), lora),
    dropout: lora.dropout,
    ...lora.dora || !same || alike === undefined
      ? { noProducts: lora.dora ? "DoRA" : "ranks or scales that differ" }
      : { products: { rank, layers: layers.map(({ name }) => name) } },
    wrap: (
      b: GraphBuilder,
      own: ReadonlyMap<string, Value>,
      { training, deviceDropout = false, kernels, stacks: stacked, onSaveable = () => {} }: {
        readonly training: boolean;
        readonly deviceDropout?: boolean;
        readonly kernels?: ReadonlySet<BlockKernel>;
        readonly stacks?: readonly StackedParameter[];
        readonly onSaveable?: (value: Value) => void;
      },
    ) => {
      const declare = (specs: readonly ParameterSpec[]): Map<string, Value> =>
        new Map(specs.map(({ name, shape }) => [name, b.input(name, "float32", shape)]));
      const inStacks = new Set(stacked?.flatMap(({ of }) => of));
      const present = layers.filter(({ name }) =>
        own.has(`${name}.weight`) || inStacks.has(`${name}.weight`)
      );
      const weights = declare(parametersOf(present));
      const constants = declare(derivedSpecs(present, lora));
      const base = plainLinear(b, own);
      const kept = training && lora.dropout > 0 ? 1 - lora.dropout : 1;
      const inKernels = kernels?.has("lora") ?? false;
      const hash = deviceDropout || inKernels ? new DropoutHash(b, lora.dropout) : undefined;
      const maskOf = hash ? (name: string, x: Value) => hash.mask(name, x) : hostMask(b);
      const drop = (name: string, x: Value): Value => {
        if (kept === 1) return x;
        if (hash && kernels?.has("dropout")) return hash.drop(name, x);
        return ops.mul(b, x, maskOf(name, x));
      };
      /** The factor on B·A·x over what is kept. */
      const scaleOf = (name: string, share: number): Value => {
        const { scale } = byName.get(name)!;
        if (scale !== undefined) return b.float32(scale / share);
        const input = constants.get(loraScaleInput(name))!;
        return share === 1 ? input : ops.mul(b, input, b.float32(1 / share));
      };
      const stacks = new Map(
        (stacked ?? []).map(({ name, of }) => [layerOf(name), of.map(layerOf)]),
      );
      // The adapter's weights are float32; over a bfloat16 base its products are in bfloat16, as the base's.
      const plain: LinearLayer = (name, x, addend) => {
        const layers = stacks.get(name) ?? [name];
        const [a, up] = [loraA(layers[0]), loraB(layers[0])].map((each) => weights.get(each));
        if (!a || !up) return base(name, x, addend);
        if (inKernels) {
          const drops = layers.map((layer) => kept < 1 ? hash!.of(layer, x) : undefined);
          const parts = layers.map((layer, i) => ({
            a: weights.get(loraA(layer))!,
            columns: drops[i]?.columns,
          }));
          const hidden = loraDown(b, x, parts, { ...drops[0], scale: alike! / kept });
          onSaveable(hidden); // small, and all of x to compute again
          const ups = layers.map((layer) => weights.get(loraB(layer))!);
          // ONNX Runtime copies what a product is added to: that is the residual only, not the result.
          return addend
            ? base(name, x, loraUp(b, addend, hidden, ups))
            : loraUp(b, base(name, x), hidden, ups);
        }
        const y = base(name, x, addend);
        const dropped = drop(name, x);
        if (x.dtype === "float32") {
          return ops.linear(b, ops.mul(b, ops.linear(b, dropped, a), scaleOf(name, kept)), up, y);
        }
        // A scale such as 4/0.9 rounded to bfloat16 would be off for all alike; of A each number is rounded.
        const down = ops.cast(b, ops.mul(b, a, scaleOf(name, kept)), x.dtype);
        return ops.linear(b, ops.linear(b, dropped, down), ops.cast(b, up, x.dtype), y);
      };
      const wide = memoizedFloat32(b);
      const withoutBias = plainLinear(
        b,
        new Map([...own].filter(([name]) => !name.endsWith(".bias"))),
      );
      // In float32 over any base. PEFT's: y = bias + W·(x − d(x)) + (m ÷ ‖V‖)·V·d(x), V = W + scale·B·A, d the dropout.
      const dora: LinearLayer = (name, x, addend) => {
        const a = weights.get(loraA(name));
        if (!a) return base(name, x, addend);
        // The layer's own products stay in its type.
        const narrow = (value: Value): Value => ops.cast(b, value, x.dtype);
        const input = wide(x);
        const mask = kept < 1 ? ops.mul(b, maskOf(name, input), b.float32(1 / kept)) : undefined;
        const dropped = mask ? ops.mul(b, input, mask) : input;
        const hidden = ops.mul(b, ops.linear(b, dropped, a), scaleOf(name, 1));
        const unscaled = wide(withoutBias(name, mask ? narrow(dropped) : x));
        const turned = ops.linear(b, hidden, weights.get(loraB(name))!, unscaled);
        onSaveable(turned); // the gradient of m reads it
        const magnitude = weights.get(loraMagnitude(name))!;
        const ratio = ops.div(b, magnitude, constants.get(loraNorm(name))!);
        const active = constants.get(loraActive(name));
        // 1 where the block has no adapter: its magnitudes are zeros then, and get no gradient.
        const gain = active
          ? ops.add(b, ops.mul(b, ratio, active), ops.sub(b, b.float32(1), active))
          : ratio;
        const y = ops.mul(b, turned, gain);
        const rest = addend ? ops.add(b, y, wide(addend)) : y;
        if (mask) {
          const lost = ops.mul(b, input, ops.sub(b, b.float32(1), mask));
          return base(name, narrow(lost), narrow(rest));
        }
        const bias = own.get(`${name}.bias`);
        return narrow(bias ? ops.add(b, rest, wide(bias)) : rest);
      };
      return { linear: lora.dora ? dora : plain, weights };
    },
  };
}

/** Makes a layer's dropout mask in the type of what it is for. */
type KeepMask = (layer: string, x: Value) => Value;

function hostMask(b: GraphBuilder): KeepMask {
  return (layer, x) => ops.cast(b, b.input(`${layer}${DROPOUT_MASK}`, "uint8", x.shape), x.dtype);
}

/**
 * Whether row·column, modulo 2³², is among the share of 32-bit numbers that is kept: a multiplicative
 * hash (Dietzfelbinger et al. 1997, https://doi.org/10.1006/jagm.1997.0873), random in any two
 * elements where rows and columns are random odd numbers. One integer product an element: CUDA has
 * no shift or exclusive or in ONNX Runtime, and a mask from the host is a byte an element to upload.
 */
class DropoutHash {
  readonly #b: GraphBuilder;
  /** The largest product that is dropped. */
  readonly #above: number;
  #rows: Value | undefined;

  constructor(b: GraphBuilder, rate: number) {
    this.#b = b;
    this.#above = Math.round(rate * 2 ** 32) - 2 ** 31 - 1;
  }

  /** Which elements of a layer's input are dropped. */
  of(layer: string, { shape: [tokens, inputs] }: Value): HashedDropout {
    this.#rows ??= this.#b.input(DROPOUT_ROWS, "int32", [tokens, 1]);
    const columns = this.#b.input(`${layer}${DROPOUT_COLUMNS}`, "int32", [inputs]);
    return { rows: this.#rows, columns, above: this.#above };
  }

  /** 1 where x is kept, else 0. */
  mask(layer: string, x: Value): Value {
    const b = this.#b;
    const { rows, columns, above } = this.of(layer, x);
    const kept = ops.greater(b, ops.mul(b, rows, columns), b.int32(above));
    return ops.cast(b, kept, x.dtype);
  }

  /** x where it is kept, else 0, in a kernel of ortune's own. */
  drop(layer: string, x: Value): Value {
    return hashedDropout(this.#b, x, this.of(layer, x));
  }
}

/** Casts to float32, each value once: q, k and v read one input. */
function memoizedFloat32(b: GraphBuilder): (x: Value) => Value {
  const known = new Map<Value, Value>();
  return (x) => {
    let wide = known.get(x);
    if (!wide) known.set(x, wide = ops.cast(b, x, "float32"));
    return wide;
  };
}

/** Weights of all blocks, with the layer's name in front. */
export function inEveryLayer(
  config: ModelConfig,
  ofKind: (kind: LayerKind) => readonly ParameterSpec[],
): ParameterSpec[] {
  return config.layerKinds.flatMap((kind, layer) =>
    ofKind(kind).map((spec) => ({ ...spec, name: layerName(layer, spec.name) }))
  );
}
