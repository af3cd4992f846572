/**
 * What a device without an answer of its own has room for. ONNX Runtime's WebGPU provider tells
 * nothing of it, and an allocation that fails there can end the process.
 *
 * In: what the adapter's driver tells. Out: errors before anything is asked for that will not fit.
 */

/** An adapter's memory, as its driver tells. */
export interface ToldMemory {
  /** The adapter's name. */
  readonly name: string;
  /** Bytes of its memory. */
  readonly heap: number;
  /** Of them, what this process can still take; undefined where the driver does not tell. */
  readonly free: number | undefined;
  /** The most bytes that one buffer may have. */
  readonly largestBuffer: number;
}

/** What to do about what does not fit. */
export const WAYS_OUT =
  "train shorter rows or fewer of them at once, an adapter, or a smaller model";

/** Counts what is allocated against what there is. */
export class MemoryBudget {
  readonly #ask: () => ToldMemory | undefined;
  #told: ToldMemory | undefined;
  #held = 0;
  /** What was held when the driver was asked. */
  #heldWhenTold = 0;

  /** `ask` answers undefined where nothing is known: then nothing is refused. */
  constructor(ask: () => ToldMemory | undefined) {
    this.#ask = ask;
    this.#told = ask();
  }

  /** Bytes that are held. */
  get held(): number {
    return this.#held;
  }

  /** What the driver tells now. */
  tell(): ToldMemory | undefined {
    this.#told = this.#ask();
    this.#heldWhenTold = this.#held;
    return this.#told;
  }

  /**
   * Counts an allocation; `what` says in an error what for.
   *
   * @throws {RangeError} where it is larger than a buffer may be, or than what is free
   */
  claim(bytes: number, what: string): void {
    const told = this.#told;
    if (told && bytes > told.largestBuffer) {
      throw new RangeError(
        `Cannot ${what} on webgpu: it has ${bytes} bytes, and a buffer of ${told.name} at most ` +
          `${told.largestBuffer}; ${WAYS_OUT}`,
      );
    }
    if (this.#left() < bytes) {
      // Other programs may have freed some since, and graphs' values have come and gone.
      this.tell();
      const left = this.#left();
      if (left < bytes) {
        throw new RangeError(
          `Cannot ${what} on webgpu: it has ${bytes} bytes, and ${this.#told!.name} has ${left} ` +
            `free of ${this.#told!.heap}, of which ${this.#held} are this program's tensors; ` +
            WAYS_OUT,
        );
      }
    }
    this.#held += bytes;
  }

  /** Counts what was claimed as free. */
  release(bytes: number): void {
    this.#held -= bytes;
  }

  /** Bytes that are free, as far as anyone tells. */
  #left(): number {
    const free = this.#told?.free;
    if (free === undefined) return Infinity;
    return Math.max(0, free - (this.#held - this.#heldWhenTold));
  }
}
