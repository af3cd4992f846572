/**
 * A measure of the user's own: a TypeScript file that runs in a worker without any permission.
 *
 * In: the file's text. Out: numbers by name for each row. The file's default export is
 * `(example, reply) => Record<string, number>`, or a promise of that. It can read no file, reach no network and
 * see no environment; it imports nothing, as it is loaded by its text alone.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { JsonlError, type RowLocation } from "../../data/records/jsonl_error.ts";
import type { AnsweredRow, EvaluatedReply, Metric } from "./metric.ts";

/** What a measure is told of a row. */
export interface OwnMetricExample {
  /** The user's last message, or a plain prompt. */
  readonly question: string;
  /** What the data answer, thinking apart. */
  readonly reference: AnsweredRow["reference"];
  /** Options and right letters, where the row is of a choice file. */
  readonly choice?: AnsweredRow["choice"];
}

/** An open measure. */
export interface OwnMetric extends Disposable {
  /**
   * The numbers of one row.
   *
   * @throws {JsonlError} naming file and row where the measure throws, takes too long or gives no numbers
   */
  readonly score: (
    example: OwnMetricExample,
    reply: EvaluatedReply,
    where: RowLocation,
  ) => Promise<Readonly<Record<string, number>>>;
}

/** How a measure is opened. */
export interface OpenOwnMetricOptions {
  /** Most milliseconds that it may take to load, or for one row. @default 10,000 */
  readonly timeLimit?: number;
}

/** Names that columns of tables and trackers take. */
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,39}$/;
const MAX_NAMES = 32;

/** Runs in the worker: loads the module of the first message, then answers each other one. */
const WORKER = `
let metric;
self.onmessage = async ({ data }) => {
  try {
    if (metric === undefined) {
      const module = await import(data.module);
      if (typeof module.default !== "function") {
        throw new TypeError("it has no default export that is a function");
      }
      metric = module.default;
      self.postMessage({});
    } else {
      self.postMessage({ scores: await metric(data.example, data.reply) });
    }
  } catch (error) {
    self.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
};
`;

/** What the worker answers. */
interface Answer {
  readonly scores?: unknown;
  readonly error?: string;
}

/**
 * Loads a measure.
 *
 * @param path the file as the user named it, for errors
 * @param text what it holds
 * @throws {Error} where it cannot be loaded or exports no function
 */
export async function openOwnMetric(
  path: string,
  text: string,
  { timeLimit = 10_000 }: OpenOwnMetricOptions = {},
): Promise<OwnMetric> {
  const worker = new Worker(
    `data:text/javascript,${encodeURIComponent(WORKER)}`,
    // The option is Deno's own, which the type of a web worker does not know.
    { type: "module", deno: { permissions: "none" } } as WorkerOptions,
  );
  const ask = (message: unknown): Promise<Answer> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => {
        worker.terminate();
        resolve({ error: `it takes longer than ${timeLimit / 1000} s` });
      }, timeLimit);
      const settle = (answer: Answer): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      worker.onmessage = ({ data }: MessageEvent<Answer>) => settle(data);
      worker.onmessageerror = () => settle({ error: "its result cannot be read" });
      worker.onerror = (event) => {
        event.preventDefault();
        settle({ error: event.message });
      };
      worker.postMessage(message);
    });
  const bytes = new TextEncoder().encode(text);
  const module = `data:application/typescript;base64,${bytes.toBase64()}`;
  const { error } = await ask({ module });
  if (error !== undefined) {
    worker.terminate();
    throw new Error(
      `Cannot use the metric ${path}: ${error}; export a function as default, and import nothing`,
    );
  }
  return {
    async score(example, reply, where) {
      const answer = await ask({ example, reply });
      const fault = answer.error ?? faultOf(answer.scores);
      if (fault === undefined) return answer.scores as Readonly<Record<string, number>>;
      throw new JsonlError(where, `the metric ${path} fails on this row: ${fault}`);
    },
    [Symbol.dispose]: () => worker.terminate(),
  };
}

/** What is wrong with the numbers of a row. */
function faultOf(scores: unknown): string | undefined {
  if (!isRecord(scores)) return `expected numbers by name, got ${describeValue(scores)}`;
  const names = Object.keys(scores);
  if (names.length > MAX_NAMES) return `expected at most ${MAX_NAMES} numbers, got ${names.length}`;
  for (const name of names) {
    if (!NAME.test(name)) {
      return `expected names of letters, digits and _, got ${JSON.stringify(name)}`;
    }
    if (!Number.isFinite(scores[name])) {
      return `expected a finite number ${name}, got ${describeValue(scores[name])}`;
    }
  }
  return undefined;
}

/** A measure by its name: as for Hugging Face's Trainer, higher is better unless the name ends with `loss`. */
export function namedMetric(name: string): Omit<Metric, "score"> {
  return { title: { en: name, zh: name }, better: name.endsWith("loss") ? "lower" : "higher" };
}
