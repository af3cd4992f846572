/**
 * SwiGLU's elementwise part, silu(gate) · up, and its gradients.
 *
 * In: gate and up [rows, width], which may be the two halves of one product. Out: the product;
 * backwards dGate and dUp, laid out as gate and up, which they may lie over.
 *
 * A block a row, 16 bytes a thread and operand. Calculated for 8192 tokens at width 6144 in bfloat16,
 * 100.7 MB an operand, at 4.3 TB/s: forward 3 passes, 70 µs; backward 5, 117 µs.
 * Stock operators take 5 forwards (SiLU 2, product 3).
 *
 * Shazeer 2020, https://arxiv.org/abs/2002.05202.
 */

import type { CudaKernel } from "./driver.ts";
import { elementName, type ElementType } from "./element.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { PRELUDE } from "./prelude.ts";

/** Rows, their width, and how far apart they are. */
export interface SwigluSizes {
  readonly rows: number;
  /** A multiple of 8. */
  readonly width: number;
  /** Elements from row to row of gate and up, and of their gradients. @default width */
  readonly stride?: number;
}

const CODE = String.raw`
__device__ inline float sigmoid(float x) { return fastDivide(1, 1 + fastPower2(-x * LOG2_E)); }

extern "C" __global__ void __launch_bounds__(256)
swigluForward(const Element* gate, const Element* up, Element* product, i32 width,
              i64 stride) {
  i64 row = blockIdx.x;
  for (i32 column = 8 * threadIdx.x; column < width; column += 8 * 256) {
    i64 from = row * stride + column;
    float g[8], u[8];
    load8(gate + from, g);
    load8(up + from, u);
#pragma unroll
    for (int i = 0; i < 8; i++) u[i] *= g[i] * sigmoid(g[i]);
    store8(u, product + row * width + column);
  }
}

extern "C" __global__ void __launch_bounds__(256)
swigluBackward(const Element* gate, const Element* up, const Element* dProduct, Element* dGate,
               Element* dUp, i32 width, i64 stride) {
  i64 row = blockIdx.x;
  for (i32 column = 8 * threadIdx.x; column < width; column += 8 * 256) {
    i64 at = row * stride + column;
    float g[8], u[8], d[8];
    load8(gate + at, g);
    load8(up + at, u);
    load8(dProduct + row * width + column, d);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      float share = sigmoid(g[i]), silu = g[i] * share;
      float slope = share * (1 + g[i] * (1 - share));
      g[i] = d[i] * u[i] * slope;
      u[i] = d[i] * silu;
    }
    store8(g, dGate + at);
    store8(u, dUp + at);
  }
}
`;

/** The source for one type, with kernels `swigluForward` and `swigluBackward`. */
export function swigluSource(elements: ElementType): KernelSource {
  return {
    name: `swiglu_${elements}`,
    code: `${PRELUDE}typedef ${elementName(elements)} Element;\n${CODE}`,
  };
}

/** silu(gate) · up, forwards and backwards. */
export class SwigluKernels {
  readonly #forward: CudaKernel;
  readonly #backward: CudaKernel;

  private constructor(forward: CudaKernel, backward: CudaKernel) {
    this.#forward = forward;
    this.#backward = backward;
  }

  /** Compiles and loads the kernels for elements of that type. */
  static async load(gpu: Gpu, elements: ElementType): Promise<SwigluKernels> {
    const module = await gpu.load(swigluSource(elements));
    const pointers = (count: number): "pointer"[] => Array(count).fill("pointer");
    return new SwigluKernels(
      module.kernel("swigluForward", [...pointers(3), "i32", "i64"]),
      module.kernel("swigluBackward", [...pointers(5), "i32", "i64"]),
    );
  }

  /** product [rows, width] = silu(gate) · up; may lie over gate or up where stride is width. */
  forward(
    stream: bigint,
    pointers: { readonly gate: bigint; readonly up: bigint; readonly product: bigint },
    { rows, width, stride = width }: SwigluSizes,
  ): void {
    assertWhole(width, stride);
    this.#forward.launch({ stream, grid: [rows], block: 256 }, [
      pointers.gate,
      pointers.up,
      pointers.product,
      width,
      stride,
    ]);
  }

  /** dGate and dUp from dProduct [rows, width]. */
  backward(
    stream: bigint,
    pointers: {
      readonly gate: bigint;
      readonly up: bigint;
      readonly dProduct: bigint;
      /** May be gate. */
      readonly dGate: bigint;
      /** May be up. */
      readonly dUp: bigint;
    },
    { rows, width, stride = width }: SwigluSizes,
  ): void {
    assertWhole(width, stride);
    this.#backward.launch({ stream, grid: [rows], block: 256 }, [
      pointers.gate,
      pointers.up,
      pointers.dProduct,
      pointers.dGate,
      pointers.dUp,
      width,
      stride,
    ]);
  }
}

function assertWhole(...sizes: readonly number[]): void {
  if (sizes.every((size) => size > 0 && size % 8 === 0)) return;
  throw new RangeError(`Cannot gate rows of ${sizes.join(", ")}: sizes must be multiples of 8`);
}
