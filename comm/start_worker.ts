/**
 * Starts a worker that needs no permission to read its program.
 *
 * In: a function, and what to hand to it. Out: Node's kind of worker, as Deno's own keep a process from
 * ending.
 */

import { Worker } from "node:worker_threads";

/** A worker's side of its port. */
export interface WorkerPort<In, Out> {
  on(event: "message", listener: (message: In) => void): unknown;
  postMessage(message: Out): void;
}

/**
 * Starts a worker, which does not keep the process alive.
 *
 * @param program its source goes into a `data:` URL: it must use nothing from outside of it
 * @param setup a value that `structuredClone` takes
 */
export function startWorker<In, Out, Setup>(
  program: (port: WorkerPort<In, Out>, setup: Setup) => void,
  setup: Setup,
): Worker {
  const source = 'import { parentPort, workerData } from "node:worker_threads";' +
    `(${program})(parentPort, workerData);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: setup,
  });
  worker.unref();
  return worker;
}
