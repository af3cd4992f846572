/**
 * The kernels of a block's graph.
 *
 * In: a GPU, and the parts of a block that kernels are to run. Out: a function that launches the kernel
 * of each operation of `ort/graph/kernel_ops.ts`.
 */

import type { Node } from "../../ort/graph/ir.ts";
import { AttentionKernels, type HeadDim } from "../../ort/kernels/attention_kernels.ts";
import { DropoutKernel } from "../../ort/kernels/dropout_kernel.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import { HeadsKernels, type HeadsSizes } from "../../ort/kernels/heads_kernels.ts";
import { type LoraDownOptions, LoraKernels } from "../../ort/kernels/lora_kernels.ts";
import { RmsNormGradientKernel } from "../../ort/kernels/rms_norm_kernels.ts";
import { SwigluKernels } from "../../ort/kernels/swiglu_kernels.ts";
import type { BlockAdapter } from "../graphs/block.ts";
import { blockKernelsFor } from "../block_kernels.ts";
import type { BlockKernel } from "../parts/block_scope.ts";
import type { ModelConfig } from "../config.ts";
import type { Precision } from "../precision.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import type { LaunchNode } from "./subgraph_sessions.ts";

/** Kernels of a block, compiled for one model. */
export interface BlockKernels {
  /** The parts that they run. */
  readonly parts: ReadonlySet<BlockKernel>;
  /** Launches the kernel of a node on a stream. */
  readonly launcher: (stream: bigint) => LaunchNode;
}

type Launch = (stream: bigint, ...args: Parameters<LaunchNode>) => void;

/**
 * Compiles and loads what a model's blocks can use.
 *
 * @param adapter what is trained in place of the blocks' own weights
 */
export async function loadBlockKernels(
  gpu: Gpu,
  { config, precision, adapter }: {
    readonly config: ModelConfig;
    readonly precision: Precision;
    readonly adapter?: BlockAdapter;
  },
): Promise<BlockKernels> {
  const parts = blockKernelsFor(config, precision, adapter);
  const launches: Record<string, Launch> = {};
  if (parts.has("attention")) {
    const headDim = config.headDim as HeadDim;
    Object.assign(launches, attentionLaunches(await AttentionKernels.load(gpu, headDim)));
    Object.assign(launches, headsLaunches(await HeadsKernels.load(gpu, headDim, precision)));
  }
  if (parts.has("dropout")) {
    launches.HashedDropout = dropoutLaunch(await DropoutKernel.load(gpu, precision));
  }
  if (parts.has("lora")) {
    Object.assign(launches, loraLaunches(await LoraKernels.load(gpu, adapter!.products!.rank)));
  }
  if (parts.has("rmsNorm")) {
    launches.RMSNormGradient = rmsNormLaunch(
      await RmsNormGradientKernel.load(gpu, {
        elements: precision,
        weights: precision,
        weightGradients: precision,
      }),
    );
  }
  if (parts.has("swiglu")) {
    Object.assign(launches, swigluLaunches(await SwigluKernels.load(gpu, precision)));
  }
  return {
    parts,
    launcher: (stream) => (node, inputs, outputs) =>
      launches[node.op](stream, node, inputs, outputs),
  };
}

/** Addresses of tensors that are there. */
function addresses(tensors: readonly (Tensor | undefined)[]): bigint[] {
  return tensors.map((tensor) => tensor!.address);
}

function attentionLaunches(kernels: AttentionKernels): Record<string, Launch> {
  const sizes = ({ attributes }: Node, starts: Tensor) => ({
    tokens: starts.shape[0],
    heads: Number(attributes.heads),
    kvHeads: Number(attributes.kv_heads),
    scale: Number(attributes.scale),
  });
  return {
    SegmentAttention: (stream, node, inputs, outputs) => {
      const [q, k, v, starts] = addresses(inputs);
      const [mixed, sums] = addresses(outputs);
      kernels.forward(stream, { q, k, v, starts, mixed, sums }, sizes(node, inputs[3]!));
    },
    SegmentAttentionGradient: (stream, node, inputs, outputs) => {
      const [q, k, v, starts, ends, mixed, sums, dMixed] = addresses(inputs);
      const [dQ, dK, dV, dots] = addresses(outputs);
      const pointers = { q, k, v, starts, ends, mixed, sums, dMixed, dots, dQ, dK, dV };
      kernels.backward(stream, pointers, sizes(node, inputs[3]!));
    },
  };
}

function dropoutLaunch(kernel: DropoutKernel): Launch {
  return (stream, { attributes }, inputs, [y]) => {
    const [x, rows, columns] = addresses(inputs);
    const [, width] = y.shape;
    const sizes = { rows: y.shape[0], width, above: Number(attributes.above) };
    kernel.launch(stream, { x, rows, columns, y: y.address }, sizes);
  };
}

function loraLaunches(kernels: LoraKernels): Record<string, Launch> {
  /**
   * Sizes and dropout of a product with x, of which `columns` are the layers' own numbers. How wide x is
   * says A, [rank, width]: x itself may lie here as it was before it was reshaped.
   */
  const down = (
    { attributes }: Node,
    { x, a: { shape: [, width] }, rows, columns }: {
      readonly x: Tensor;
      readonly a: Tensor;
      readonly rows: Tensor | undefined;
      readonly columns: readonly (Tensor | undefined)[];
    },
  ): LoraDownOptions => ({
    tokens: elementCount(x.shape) / width,
    ...{ width, parts: columns.length, scale: Number(attributes.scale) },
    dropout: rows && {
      rows: rows.address,
      columns: addresses(columns),
      above: Number(attributes.above),
    },
  });
  const up = ({ shape }: Tensor, weights: readonly (Tensor | undefined)[]) => {
    const widths = weights.map((weight) => weight!.shape[0]);
    return { tokens: elementCount(shape) / widths.reduce((sum, width) => sum + width), widths };
  };
  const gradients = (
    node: Node,
    before: readonly (Tensor | undefined)[],
    outputs: readonly Tensor[],
  ) => {
    const weights = outputs.slice(0, -1);
    before.forEach((each, i) => assertInPlace(node, each, weights[i]));
    return {
      to: addresses(weights),
      partials: outputs.at(-1)!.address,
      accumulate: before[0] !== undefined,
    };
  };
  return {
    LoraDown: (stream, node, [x, rows, ...parts], [hidden]) => {
      const [a, columns] = everyOther(parts);
      const pointers = { x: x!.address, a: addresses(a), hidden: hidden.address };
      kernels.down(stream, pointers, down(node, { x: x!, a: a[0]!, rows, columns }));
    },
    LoraDownInputGradient: (stream, node, [dHidden, past, rows, ...parts], [dX]) => {
      const [a, columns] = everyOther(parts);
      const pointers = { dHidden: dHidden!.address, a: addresses(a), dX: dX.address };
      const options = down(node, { x: dX, a: a[0]!, rows, columns });
      kernels.downInput(stream, { ...pointers, past: past?.address }, options);
    },
    LoraDownWeightGradient: (stream, node, [x, dHidden, rows, ...parts], outputs) => {
      const [columns, before] = everyOther(parts);
      const pointers = { x: x!.address, dHidden: dHidden!.address };
      const to = gradients(node, before, outputs);
      const options = down(node, { x: x!, a: outputs[0], rows, columns });
      kernels.downWeight(stream, { ...pointers, ...to }, options);
    },
    LoraUp: (stream, _, [past, hidden, ...weights], [y]) => {
      kernels.up(stream, {
        ...{ hidden: hidden!.address, b: addresses(weights) },
        ...{ past: past!.address, y: y.address },
      }, up(y, weights));
    },
    LoraUpInputGradient: (stream, _, [dy, ...weights], [dHidden]) => {
      const pointers = { dy: dy!.address, b: addresses(weights), dHidden: dHidden.address };
      kernels.upHidden(stream, pointers, up(dy!, weights));
    },
    LoraUpWeightGradient: (stream, node, [hidden, dy, ...before], outputs) => {
      const pointers = { hidden: hidden!.address, dy: dy!.address };
      const to = gradients(node, before, outputs);
      kernels.upWeight(stream, { ...pointers, ...to }, up(dy!, outputs.slice(0, -1)));
    },
  };
}

/** Pairs, apart. */
function everyOther<T>(pairs: readonly T[]): [first: T[], second: T[]] {
  return [pairs.filter((_, i) => i % 2 === 0), pairs.filter((_, i) => i % 2 === 1)];
}

function headsLaunches(kernels: HeadsKernels): Record<string, Launch> {
  const sizes = ({ attributes, inputs }: Node, tokens: number): HeadsSizes => ({
    tokens,
    heads: Number(attributes.heads),
    kvHeads: Number(attributes.kv_heads),
    stacked: inputs[1] === undefined,
  });
  /** Projections, tables and norms, which both ways read. */
  const common = (inputs: readonly (Tensor | undefined)[], invStd: Tensor | undefined) => {
    const [q, k, positions, cos, sin, qWeight, kWeight] = inputs.map((each) => each?.address);
    return {
      from: { q: q!, k },
      tables: { positions: positions!, cos: cos!, sin: sin! },
      norms: qWeight === undefined || kWeight === undefined
        ? undefined
        : { qWeight, kWeight, invStd: invStd!.address },
    };
  };
  return {
    RotaryHeads: (stream, node, inputs, outputs) => {
      const { norms, ...rest } = common(inputs, outputs.at(-1));
      const [q, k, v] = addresses(outputs);
      const epsilon = Number(node.attributes.epsilon);
      const to = { q, k, v: inputs[1] ? undefined : v };
      kernels.forward(
        stream,
        { ...rest, to, norms: norms && { ...norms, epsilon } },
        sizes(node, outputs[0].shape[0]),
      );
    },
    RotaryHeadsGradient: (stream, node, inputs, outputs) => {
      const [invStd, dQ, dK, dV, beforeQ, beforeK] = inputs.slice(7);
      const apart = inputs[1] !== undefined;
      const [qWeight, kWeight, partials] = outputs.slice(apart ? 2 : 1);
      assertInPlace(node, beforeQ, qWeight);
      assertInPlace(node, beforeK, kWeight);
      kernels.backward(stream, {
        ...common(inputs, invStd),
        gradients: { q: dQ!.address, k: dK!.address, v: dV?.address },
        to: { q: outputs[0].address, k: apart ? outputs[1].address : undefined },
        weightGradients: qWeight && {
          partials: partials.address,
          qWeight: qWeight.address,
          kWeight: kWeight.address,
          accumulate: beforeQ !== undefined,
        },
      }, sizes(node, dQ!.shape[0]));
    },
  };
}

/** Kernels add where they write. */
function assertInPlace(node: Node, before: Tensor | undefined, to: Tensor | undefined): void {
  if (!before || before.address === to?.address) return;
  throw new Error(
    `Cannot add up in ${node.op} to ${node.outputs[0].name}: a weight's gradient and what it is ` +
      "added to are bound to different memory",
  );
}

function swigluLaunches(kernels: SwigluKernels): Record<string, Launch> {
  /** The second tensor, or where the second half of a row of the first begins. */
  const halves = ({ address, dtype }: Tensor, second: Tensor | undefined, width: number) =>
    [address, second?.address ?? address + BigInt(width * byteWidth(dtype))] as const;
  const sizes = (shape: readonly number[], stacked: boolean) => {
    const [rows, width] = shape;
    return { rows, width, stride: stacked ? 2 * width : width };
  };
  return {
    SwiGLU: (stream, _, [first, second], [product]) => {
      const all = sizes(product.shape, !second);
      const [gate, up] = halves(first!, second, all.width);
      kernels.forward(stream, { gate, up, product: product.address }, all);
    },
    SwiGLUGradient: (stream, _, inputs, outputs) => {
      const dProduct = inputs.at(-1)!;
      const stacked = outputs.length === 1;
      const all = sizes(dProduct.shape, stacked);
      const [gate, up] = halves(inputs[0]!, stacked ? undefined : inputs[1], all.width);
      const [dGate, dUp] = halves(outputs[0], outputs[1], all.width);
      kernels.backward(stream, { gate, up, dProduct: dProduct.address, dGate, dUp }, all);
    },
  };
}

function rmsNormLaunch(kernel: RmsNormGradientKernel): Launch {
  return (stream, node, inputs, outputs) => {
    const [x, dy, weight, invStd] = addresses(inputs.slice(0, 4));
    const [past, before] = inputs.slice(4);
    const [dx, dWeight, partials] = outputs;
    assertInPlace(node, before, dWeight);
    const width = inputs[2]!.shape[0];
    kernel.launch(stream, {
      x,
      dy,
      weight,
      invStd,
      past: past?.address,
      dx: dx.address,
      ...dWeight
        ? { weightGradient: { dWeight: dWeight.address, partials: partials.address } }
        : {},
    }, {
      // A kernel reads what was reshaped as it was before: by tokens, not by heads.
      rows: elementCount(inputs[0]!.shape) / width,
      width,
      accumulate: before !== undefined,
    });
  };
}
