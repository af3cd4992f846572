/**
 * What every download takes: where from, where to, and how to be told of it.
 */

/** A service that hosts models and datasets. */
export type HubSource = "huggingface" | "modelscope";

/** What a repository holds. */
export type RepositoryKind = "model" | "dataset";

/** How far a download is. Sizes in bytes. */
export interface HubProgress {
  /** Path of the file that moved, within its repository. */
  readonly file: string;
  /** Bytes of all wanted files that are here, those of earlier runs included. */
  readonly bytes: number;
  /** Bytes of all wanted files. */
  readonly size: number;
  /** Files that are here whole and checked. */
  readonly filesDone: number;
  /** Files wanted. */
  readonly files: number;
}

/** Options of {@linkcode resolveModel} and {@linkcode resolveDatasetFile}. */
export interface HubOptions {
  /** The service to fetch from. */
  readonly source: HubSource;
  /** Branch, tag or commit. @default "main" on Hugging Face, "master" on ModelScope */
  readonly revision?: string;
  /** Folder that keeps what is fetched, as `{owner}/{name}/…`. */
  readonly cacheDir: string;
  /** Makes requests. @default globalThis.fetch */
  readonly fetch?: typeof fetch;
  /** Stops the download; what has come stays, to go on from. */
  readonly signal?: AbortSignal;
  /** Makes no request: what is not in the cache is an error. @default false */
  readonly offline?: boolean;
  /** Address of the service or a mirror. @default the service's own */
  readonly endpoint?: string;
  /** Token for private and gated repositories; sent to the endpoint's own host and nowhere else. */
  readonly token?: string;
  /** Called as bytes come. */
  readonly onProgress?: (progress: HubProgress) => void;
  /** Called with what a user should know, such as that another process is fetching the same. */
  readonly onNotice?: (text: string) => void;
  /** Longest silence of a host before the connection counts as lost. @default 30_000 */
  readonly stallMilliseconds?: number;
  /** Waits between tries; must reject with the signal's reason once that aborts. @default a timer */
  readonly sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
  /** Draws the jitter of the waits, from [0, 1). @default Math.random */
  readonly random?: () => number;
}
