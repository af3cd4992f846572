/**
 * The kernels of a block's graph.
 *
 * In: a GPU, and the parts of a block that kernels are to run. Out: a function that launches the kernel
 * of each operation of `graph/kernel_ops.ts`.
 */

import type { Node } from "../graph/ir.ts";
import { AttentionKernels, type HeadDim } from "../kernels/attention.ts";
import { DropoutKernel } from "../kernels/dropout.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { RmsNormGradientKernel } from "../kernels/rms_norm.ts";
import { RopeKernel } from "../kernels/rope.ts";
import { SwigluKernels } from "../kernels/swiglu.ts";
import { type BlockKernel, blockKernelsFor } from "../model/block_kernels.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Precision } from "../model/precision.ts";
import type { Tensor } from "../ort/tensor.ts";
import { elementCount } from "../tensor/dtype.ts";
import type { LaunchNode } from "./staged_graph.ts";

/** Kernels of a block, compiled for one model. */
export interface BlockKernels {
  /** The parts that they run. */
  readonly parts: ReadonlySet<BlockKernel>;
  /** Launches the kernel of a node on a stream. */
  readonly launcher: (stream: bigint) => LaunchNode;
}

type Launch = (stream: bigint, ...args: Parameters<LaunchNode>) => void;

/** Compiles and loads what a model's blocks can use. */
export async function loadBlockKernels(
  gpu: Gpu,
  config: ModelConfig,
  precision: Precision,
): Promise<BlockKernels> {
  const parts = blockKernelsFor(config, precision);
  const launches: Record<string, Launch> = {};
  if (parts.has("attention")) {
    const kernels = await AttentionKernels.load(gpu, config.headDim as HeadDim);
    Object.assign(launches, attentionLaunches(kernels));
  }
  if (parts.has("rope")) {
    launches.RotaryEmbeddingGradient = ropeLaunch(await RopeKernel.load(gpu, precision));
  }
  if (parts.has("dropout")) {
    launches.HashedDropout = dropoutLaunch(await DropoutKernel.load(gpu, precision));
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

function ropeLaunch(kernel: RopeKernel): Launch {
  return (stream, { attributes }, inputs, [turned]) => {
    const [from, positions, cos, sin] = addresses(inputs);
    const headDim = Number(attributes.head_dim);
    const tokens = elementCount(inputs[1]!.shape);
    kernel.launch(stream, { from, to: turned.address, positions, cos, sin }, {
      tokens,
      heads: elementCount(turned.shape) / tokens / headDim,
      headDim,
      positions: "int64",
      backward: true,
    });
  };
}

function swigluLaunches(kernels: SwigluKernels): Record<string, Launch> {
  const sizes = ({ shape: [rows, width] }: Tensor) => ({ rows, width });
  return {
    SwiGLU: (stream, _, inputs, outputs) => {
      const [gate, up] = addresses(inputs);
      kernels.forward(stream, { gate, up, product: outputs[0].address }, sizes(inputs[0]!));
    },
    SwiGLUGradient: (stream, _, inputs, outputs) => {
      const [gate, up, dProduct] = addresses(inputs);
      const [dGate, dUp] = addresses(outputs);
      kernels.backward(stream, { gate, up, dProduct, dGate, dUp }, sizes(inputs[0]!));
    },
  };
}

function rmsNormLaunch(kernel: RmsNormGradientKernel): Launch {
  return (stream, node, inputs, outputs) => {
    const [x, dy, weight, invStd] = addresses(inputs.slice(0, 4));
    const [past, before] = inputs.slice(4);
    const [dx, dWeight, partials] = outputs;
    if (before && before.address !== dWeight.address) {
      throw new Error(
        `Cannot add the gradient ${node.outputs[1].name} to ${node.inputs[5]!.name}: the kernel ` +
          "adds in place, and they are bound to different memory",
      );
    }
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
