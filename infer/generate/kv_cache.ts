/**
 * Keys and values of the tokens so far, a pair of tensors a layer with attention.
 *
 * In: a config and a dtype. Out: tensors [1, kvHeads, capacity, D] that the decode graph writes in
 * place, grown by doubling.
 */

import { cacheHeadDim } from "../../model/graphs/decode_graphs.ts";
import type { ModelConfig } from "../../model/config.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, type DType } from "../../ort/tensor/dtype.ts";

/** Capacity is a multiple of this, so that short replies do not grow the cache again and again. */
const STEP = 256;

/** One layer's part of the cache. */
export interface LayerCache {
  /** [1, kvHeads, capacity, D], or as rows */
  readonly key: Tensor;
  /** The same of the values. */
  readonly value: Tensor;
}

/** How the decode graph takes the cache. */
export interface KvCacheOptions {
  /** Type of keys and values. @default "float32" */
  readonly dtype?: DType;
  /** As rows [kvHeads·capacity, headDim], for plain attention. @default false */
  readonly asRows?: boolean;
}

/** The cache of one sequence. */
export class KvCache implements Disposable {
  readonly #runtime: Runtime;
  readonly #config: ModelConfig;
  readonly #dtype: DType;
  readonly #asRows: boolean;
  #capacity = 0;
  #layers: readonly (LayerCache | undefined)[] = [];

  /** Holds no memory until {@linkcode KvCache.reserve}. */
  constructor(
    runtime: Runtime,
    config: ModelConfig,
    { dtype = "float32", asRows = false }: KvCacheOptions = {},
  ) {
    this.#runtime = runtime;
    this.#config = config;
    this.#dtype = dtype;
    this.#asRows = asRows;
  }

  /** Positions there is memory for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** The tensors of a layer; others after the cache has grown; none of a layer that carries a state. */
  layer(index: number): LayerCache | undefined {
    return this.#layers[index];
  }

  /**
   * Makes room for `positions`, keeping the first `used` of them. Memory doubles, so that a long
   * reply is copied only a few times, and a short one holds no room for the longest.
   *
   * @returns whether the tensors were replaced
   * @throws {RangeError} beyond the model's max_position_embeddings
   */
  reserve(positions: number, used: number): boolean {
    const { layerKinds, maxPositions } = this.#config;
    if (positions > maxPositions) {
      throw new RangeError(
        `Cannot hold ${positions} tokens: the model has ${maxPositions} positions; shorten the ` +
          "prompt or generate fewer tokens",
      );
    }
    if (positions <= this.#capacity) return false;
    const wanted = Math.ceil(Math.max(positions, 2 * this.#capacity) / STEP) * STEP;
    const capacity = Math.min(wanted, maxPositions);
    const { kvHeads, headDim } = this.#config;
    const shape = this.#asRows
      ? [kvHeads * capacity, headDim]
      : [1, kvHeads, capacity, cacheHeadDim(this.#config)];
    // All or nothing: what cannot be allocated leaves the cache as it was.
    using grown = new DisposableStack();
    const allocate = () => grown.use(Tensor.allocate(this.#runtime, this.#dtype, shape));
    const layersGrown = layerKinds.map(({ delta }) =>
      delta ? undefined : { key: allocate(), value: allocate() }
    );
    layersGrown.forEach((made, layer) => {
      if (!made) return;
      const old = this.#layers[layer];
      this.#copy(old?.key, made.key, used);
      this.#copy(old?.value, made.value, used);
    });
    this[Symbol.dispose]();
    grown.move();
    this.#layers = layersGrown;
    this.#capacity = capacity;
    return true;
  }

  /** The first `used` positions of the old tensor, and zeros after them. */
  #copy(old: Tensor | undefined, grown: Tensor, used: number): void {
    const { kvHeads } = this.#config;
    const bytes = used * grown.shape.at(-1)! * byteWidth(grown.dtype);
    if (old && !deviceTraits(grown.device).viewsAtOffset) {
      return copyOnHost(old, grown, { parts: kvHeads, bytes });
    }
    grown.zero();
    if (!old || used === 0) return;
    for (let head = 0; head < kvHeads; head++) {
      const from = head * old.byteLength / kvHeads;
      grown.copyFrom(old, { from, to: head * grown.byteLength / kvHeads, bytes });
    }
  }

  /** Releases all memory; tensors given out may not be used afterwards. */
  [Symbol.dispose](): void {
    for (const layer of this.#layers) {
      layer?.key[Symbol.dispose]();
      layer?.value[Symbol.dispose]();
    }
    this.#layers = [];
    this.#capacity = 0;
  }
}

/** The first bytes of each part of a tensor, and zeros after them, where copies begin at a tensor's start. */
function copyOnHost(
  old: Tensor,
  grown: Tensor,
  { parts, bytes }: { readonly parts: number; readonly bytes: number },
): void {
  const [from, to] = [old, grown].map(({ byteLength }) => new Uint8Array(byteLength));
  old.read(from);
  for (let part = 0; part < parts; part++) {
    const start = part * from.length / parts;
    to.set(from.subarray(start, start + bytes), part * to.length / parts);
  }
  grown.write(to);
}
