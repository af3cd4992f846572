/** A trainer without a model whose updates are read later, as on a device, for tests of the loop. */

import type { DeferredSteps, Trainer, TrainStepResult } from "../../train/trainer.ts";
import {
  saveStub,
  type TrainerStub,
  trainerStub,
  type TrainerStubOptions,
} from "./trainer_stub.ts";

/** How a deferred stub answers. */
export interface DeferredStubOptions extends TrainerStubOptions {
  /** Called when an update was made, with their number; launching goes on when it is done. */
  readonly launched?: (step: number) => void | Promise<void>;
  /** What a copy of the stub waits for before it is written; without it there are no copies. */
  readonly write?: (step: number) => Promise<void>;
}

/** A deferred stub, and what it was asked. */
export interface DeferredStub {
  readonly trainer: Trainer & { readonly deferred: DeferredSteps };
  /** How many results each read gave. */
  readonly reads: readonly number[];
  /** What it is made of. */
  readonly stub: TrainerStub;
}

/** Makes one whose results may be unread for six updates. */
export function deferredStub(
  { launched, write, ...options }: DeferredStubOptions = {},
): DeferredStub {
  const stub = trainerStub(options);
  const unread: TrainStepResult[] = [];
  const reads: number[] = [];
  const deferred: DeferredSteps = {
    most: 6,
    async launch(batches, how): Promise<void> {
      how.signal?.throwIfAborted();
      unread.push(await stub.trainStep(batches, how));
      await launched?.(stub.step);
    },
    results(): Promise<readonly TrainStepResult[]> {
      reads.push(unread.length);
      return Promise.resolve(unread.splice(0));
    },
    ...write && {
      snapshot(): Promise<Pick<Trainer, "save">> {
        const { step } = stub;
        return Promise.resolve({
          async save(directory) {
            await write(step);
            return await saveStub(directory, step);
          },
        });
      },
    },
  };
  return { trainer: Object.assign(Object.create(stub), { deferred }), reads, stub };
}
