/**
 * What sequences go on from in layers that carry a state from token to token: in place of keys and values the
 * last inputs of a convolution, and a matrix a head.
 *
 * In: a config. Out: for each such layer, tensors over any run of rows, by the names of graph inputs and
 * outputs. A step reads the one copy and writes another, which takes the first one's place only when the step is
 * done: one that is ended between two layers leaves all sequences as they were.
 */

import type { ModelConfig } from "../../model/config.ts";
import { PAST_STATES, PRESENT_STATES } from "../../model/graphs/sequences.ts";
import { deltaChannels, type DeltaSizes } from "../../model/parts/layer_kind.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";

const FLOAT_BYTES = 4;

/** One kind of state of a layer, for all rows. */
interface RowStates {
  /** Sizes of a row's. */
  readonly shape: readonly number[];
  /** Where graphs read it and where they write it. */
  readonly names: readonly [past: string, present: string];
  readonly past: Tensor;
  readonly present: Tensor;
}

/** Bytes of the states of one sequence, in all layers, with the copy that a step writes. */
export function stateBytes({ layerKinds }: Pick<ModelConfig, "layerKinds">): number {
  const numbers = layerKinds.flatMap(({ delta }) => delta ? statesOf(delta) : [])
    .reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return 2 * FLOAT_BYTES * numbers;
}

function statesOf(sizes: DeltaSizes): Pick<RowStates, "shape" | "names">[] {
  const { valueHeads, keyDim, valueDim, taps } = sizes;
  return [
    {
      shape: [taps - 1, deltaChannels(sizes)],
      names: [PAST_STATES.inputs, PRESENT_STATES.inputs],
    },
    {
      shape: [valueHeads, keyDim, valueDim],
      names: [PAST_STATES.matrices, PRESENT_STATES.matrices],
    },
  ];
}

/** The states of some rows. */
export class StateCache implements Disposable {
  readonly #runtime: Runtime;
  readonly #config: Pick<ModelConfig, "layerKinds">;
  #rows = 0;
  /** By layer; of those with attention there are none. */
  #layers: readonly (readonly RowStates[])[] = [];

  /** Holds no memory until {@linkcode StateCache.reserve}. */
  constructor(runtime: Runtime, config: Pick<ModelConfig, "layerKinds">) {
    this.#runtime = runtime;
    this.#config = config;
  }

  /**
   * Makes room for `rows`, keeping those there are; the others begin a sequence.
   *
   * @returns whether tensors that were given out were replaced
   */
  reserve(rows: number): boolean {
    if (rows <= this.#rows) return false;
    using grown = new DisposableStack();
    const allocate = (shape: readonly number[]): Tensor => {
      const tensor = Tensor.allocate(this.#runtime, "float32", [rows, ...shape]);
      tensor.zero();
      return grown.use(tensor);
    };
    const layers = this.#config.layerKinds.map(({ delta }) =>
      (delta ? statesOf(delta) : []).map((made) => ({
        ...made,
        past: allocate(made.shape),
        present: allocate(made.shape),
      }))
    );
    layers.forEach((states, layer) =>
      states.forEach(({ past }, i) => {
        const old = this.#layers[layer]?.[i];
        if (old) past.copyFrom(old.past);
      })
    );
    const replaced = layers.some((states) => states.length > 0);
    this[Symbol.dispose]();
    grown.move();
    this.#layers = layers;
    this.#rows = rows;
    return replaced;
  }

  /** A layer's tensors over `count` rows from `start` on; of a layer with attention none. */
  layer(index: number, start: number, count: number): { tensors: TensorMap } & Disposable {
    using stack = new DisposableStack();
    const tensors: Record<string, Tensor> = {};
    for (const { shape, names, past, present } of this.#layers[index]) {
      const offset = FLOAT_BYTES * start * elementCount(shape);
      tensors[names[0]] = stack.use(past.view(offset, [count, ...shape]));
      tensors[names[1]] = stack.use(present.view(0, [count, ...shape]));
    }
    const owned = stack.move();
    return { tensors, [Symbol.dispose]: () => owned.dispose() };
  }

  /** Takes what a step over `count` rows from `start` on has written. */
  commit(start: number, count: number): void {
    for (const { shape, past, present } of this.#layers.flat()) {
      const row = FLOAT_BYTES * elementCount(shape);
      past.copyFrom(present, { to: start * row, bytes: count * row });
    }
  }

  /** Lets a row begin a sequence. */
  clear(row: number): void {
    for (const { shape, past } of this.#layers.flat()) {
      const bytes = FLOAT_BYTES * elementCount(shape);
      past.write(new Uint8Array(bytes), row * bytes);
    }
  }

  /** Lets two rows change places. */
  swap(row: number, other: number): void {
    if (row === other) return;
    for (const { shape, past, present } of this.#layers.flat()) {
      const bytes = FLOAT_BYTES * elementCount(shape);
      present.copyFrom(past, { from: row * bytes, bytes });
      past.copyFrom(past, { from: other * bytes, to: row * bytes, bytes });
      past.copyFrom(present, { to: other * bytes, bytes });
    }
  }

  /** Releases all memory; tensors given out may not be used afterwards. */
  [Symbol.dispose](): void {
    for (const { past, present } of this.#layers.flat()) {
      past[Symbol.dispose]();
      present[Symbol.dispose]();
    }
    this.#layers = [];
    this.#rows = 0;
  }
}
