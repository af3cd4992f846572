/**
 * Requests to a hub, with what every one of them needs.
 *
 * In: an address and headers. Out: an answer whose status is good, and its bytes. Redirects are
 * followed by hand, so that the token goes to the endpoint's own origin and to no other; a host that
 * falls silent is given up; what may pass is tried five times.
 */

import { HubError } from "./hub_error.ts";
import type { HubOptions, HubSource } from "./hub_options.ts";

/** Tries of one request or file. */
const MAX_TRIES = 5;
/** Most redirects of one request; the hubs use one or two. */
const MAX_REDIRECTS = 5;
const FIRST_WAIT = 500;
/** Longest wait that a host may ask for: beyond it a user is better told than kept waiting. */
const LONGEST_RETRY_AFTER = 120_000;
const TEMPORARY_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What is known of a service. */
interface Service {
  readonly name: string;
  readonly endpoint: string;
  readonly endpointVariable: string;
  readonly tokenVariable: string;
}

/** The services, and the environment variables that the scripts read for them. */
export const SERVICES: Readonly<Record<HubSource, Service>> = {
  huggingface: {
    name: "Hugging Face",
    endpoint: "https://huggingface.co",
    endpointVariable: "HF_ENDPOINT",
    tokenVariable: "HF_TOKEN",
  },
  modelscope: {
    name: "ModelScope",
    endpoint: "https://www.modelscope.cn",
    endpointVariable: "MODELSCOPE_ENDPOINT",
    tokenVariable: "MODELSCOPE_API_TOKEN",
  },
};

/** A way to one service. */
export interface HubClient {
  readonly source: HubSource;
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal | undefined;
  readonly stallMilliseconds: number;
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
  readonly random: () => number;
}

/** What a request is for, to say so in errors. */
export interface RequestPurpose {
  /** Such as `config.json of Qwen/Qwen3-0.6B`. */
  readonly what: string;
  /** `owner/name`. */
  readonly id: string;
  readonly file?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer with its bytes, guarded against silence. */
export interface HubResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Host that gave it, after redirects. */
  readonly host: string;
  /** The body, piece by piece; leaving the loop early closes the connection. */
  readonly chunks: () => AsyncGenerator<Uint8Array, void, undefined>;
  /** Closes the connection without reading. */
  readonly cancel: () => Promise<void>;
}

/** Checks the options and fills in their defaults. */
export function createHubClient(options: HubOptions): HubClient {
  const { source, stallMilliseconds = 30_000, random = Math.random, signal } = options;
  if (!Object.hasOwn(SERVICES, source)) {
    throw new TypeError(
      `Cannot fetch from ${JSON.stringify(source)}: the source must be huggingface or modelscope`,
    );
  }
  const token = options.token?.trim() || undefined;
  if (token !== undefined && !/^[\x21-\x3a\x3c-\x7e]+$/.test(token)) {
    throw new TypeError(
      `Cannot use the token for ${SERVICES[source].name}: it holds characters that no token has. ` +
        `Correct ${SERVICES[source].tokenVariable}`,
    );
  }
  return {
    source,
    endpoint: parseEndpoint(options.endpoint || SERVICES[source].endpoint, source),
    token,
    fetch: options.fetch ?? globalThis.fetch,
    signal,
    stallMilliseconds,
    sleep: options.sleep ?? sleep,
    random,
  };
}

/**
 * Checks the address of a service or a mirror; answers it without a slash at its end.
 *
 * @throws {TypeError} where it is no plain address
 */
export function parseEndpoint(text: string, source: HubSource): string {
  const url = URL.parse(text);
  if (
    url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "" &&
    url.search === "" && url.hash === ""
  ) return url.href.replace(/\/+$/, "");
  throw new TypeError(
    `Cannot use the endpoint ${
      JSON.stringify(text.slice(0, 80))
    }: it is not a plain http or https ` +
      `address. Correct ${SERVICES[source].endpointVariable}, such as ${SERVICES[source].endpoint}`,
  );
}

/** The host of the endpoint, for messages. */
export function endpointHost(client: HubClient): string {
  return new URL(client.endpoint).host;
}

/**
 * Asks once, following redirects.
 *
 * @throws {HubError} for a bad status, a lost connection or a redirect that cannot be trusted.
 */
export async function requestHub(
  client: HubClient,
  address: string,
  purpose: RequestPurpose,
): Promise<HubResponse> {
  let url = new URL(address);
  for (let redirects = 0;; redirects++) {
    const { response, watch } = await send(client, url, purpose);
    if (![301, 302, 303, 307, 308].includes(response.status)) {
      const guarded = guard(client, response, watch, url.host, purpose);
      if (response.ok) return guarded;
      await guarded.cancel();
      throw statusError(client, response, url.host, purpose);
    }
    await response.body?.cancel().catch(() => {});
    watch.stop();
    url = redirected(client, url, response.headers.get("location"), redirects, purpose);
  }
}

/** Aborts a request when nothing has come for too long. */
interface Watch {
  readonly signal: AbortSignal;
  readonly stalled: () => boolean;
  readonly feed: () => void;
  readonly stop: () => void;
}

function startWatch(client: HubClient): Watch {
  const controller = new AbortController();
  let stalled = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const feed = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      stalled = true;
      controller.abort();
    }, client.stallMilliseconds);
  };
  feed();
  const relay = (): void => controller.abort();
  client.signal?.addEventListener("abort", relay, { once: true });
  return {
    signal: controller.signal,
    stalled: () => stalled,
    feed,
    stop: () => {
      clearTimeout(timer);
      client.signal?.removeEventListener("abort", relay);
    },
  };
}

async function send(
  client: HubClient,
  url: URL,
  purpose: RequestPurpose,
): Promise<{ response: Response; watch: Watch }> {
  client.signal?.throwIfAborted();
  const watch = startWatch(client);
  try {
    const response = await client.fetch(url, {
      redirect: "manual",
      signal: watch.signal,
      // Sizes and ranges are those of the file itself, not of a compressed form.
      headers: {
        "accept-encoding": "identity",
        ...purpose.headers,
        ...credentials(client, url),
      },
    });
    watch.feed();
    return { response, watch };
  } catch (cause) {
    watch.stop();
    throw connectionError(client, cause, watch, url.host, purpose);
  }
}

/** The token's headers, for the endpoint's own origin alone. */
function credentials(client: HubClient, url: URL): Record<string, string> {
  const { token, source } = client;
  if (token === undefined || url.origin !== new URL(client.endpoint).origin) return {};
  const authorization = `Bearer ${token}`;
  return source === "huggingface"
    ? { authorization }
    : { authorization, cookie: `m_session_id=${token}` };
}

function redirected(
  client: HubClient,
  from: URL,
  location: string | null,
  redirects: number,
  { what, file }: RequestPurpose,
): URL {
  const details = { host: from.host, file };
  const cannot = `Cannot fetch ${what} from ${from.host}: `;
  const way = `Check ${SERVICES[client.source].endpointVariable}, or use ${otherSource(client)}`;
  const to = location === null ? null : URL.parse(location, from);
  if (to === null || !/^https?:$/.test(to.protocol)) {
    throw new HubError(`${cannot}it redirects to no usable address. ${way}`, details);
  }
  if (from.protocol === "https:" && to.protocol === "http:") {
    throw new HubError(`${cannot}it redirects from https to http at ${to.host}. ${way}`, details);
  }
  if (redirects >= MAX_REDIRECTS) {
    throw new HubError(`${cannot}it redirects more than ${MAX_REDIRECTS} times. ${way}`, details);
  }
  // Names and passwords in an address would be credentials of somebody else's choosing.
  to.username = "";
  to.password = "";
  return to;
}

function guard(
  client: HubClient,
  response: Response,
  watch: Watch,
  host: string,
  purpose: RequestPurpose,
): HubResponse {
  const cancel = async (): Promise<void> => {
    watch.stop();
    await response.body?.cancel().catch(() => {});
  };
  return {
    status: response.status,
    headers: response.headers,
    host,
    cancel,
    async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
      if (response.body === null) return watch.stop();
      const reader = response.body.getReader();
      try {
        while (true) {
          let part: ReadableStreamReadResult<Uint8Array>;
          try {
            part = await reader.read();
          } catch (cause) {
            throw connectionError(client, cause, watch, host, purpose);
          }
          if (part.done) return;
          watch.feed();
          yield part.value;
        }
      } finally {
        watch.stop();
        await reader.cancel().catch(() => {});
      }
    },
  };
}

function connectionError(
  client: HubClient,
  cause: unknown,
  watch: Watch,
  host: string,
  { what, file }: RequestPurpose,
): unknown {
  if (client.signal?.aborted) return client.signal.reason;
  const cannot = `Cannot fetch ${what} from ${host}: `;
  if (cause instanceof Deno.errors.NotCapable) {
    // Not as its cause: commands explain missing permissions as those of folders.
    return new HubError(
      `${cannot}the script may not connect to it. Run it with --allow-net=${host}, or use ${
        otherSource(client)
      }`,
      { host, file },
    );
  }
  const problem = watch.stalled()
    ? `nothing came for ${client.stallMilliseconds / 1000} s`
    : `the connection failed (${innermost(cause)})`;
  return new HubError(`${cannot}${problem}. ${unreachableAdvice(client)}`, {
    host,
    file,
    cause,
    temporary: true,
  });
}

/** Deno's fetch says why in a cause of its error. */
function innermost(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? innermost(error.cause) : error.message;
}

/** What to do where a service cannot be reached. */
export function unreachableAdvice(client: HubClient): string {
  return `Check the network, set ${SERVICES[client.source].endpointVariable} to a mirror, or use ${
    otherSource(client)
  }`;
}

function otherSource(client: HubClient): string {
  const other = client.source === "huggingface" ? "modelscope" : "huggingface";
  return `${SERVICES[other].name} (--source ${other})`;
}

function statusError(
  client: HubClient,
  { status, headers }: Response,
  host: string,
  { what, id, file }: RequestPurpose,
): HubError {
  const { name, tokenVariable } = SERVICES[client.source];
  const details = { host, status, file };
  const problem = `Cannot fetch ${what} from ${host}: status ${status}`;
  if (status === 401 || status === 403) {
    const sent = client.token === undefined
      ? `No token was sent: set ${tokenVariable} to one of yours`
      : `The token in ${tokenVariable} was not enough: check that it is valid and may read`;
    return new HubError(
      `${problem}, ${id} is gated or private, or does not exist. Ask for access on its page at ` +
        `${name} where it is gated. ${sent}`,
      details,
    );
  }
  if (status === 404) {
    return new HubError(
      `${problem}, not found. Check the name and the revision, or try ${otherSource(client)}`,
      details,
    );
  }
  if (!TEMPORARY_STATUS.has(status)) {
    return new HubError(`${problem}. ${unreachableAdvice(client)}`, details);
  }
  const retryAfter = parseRetryAfter(headers.get("retry-after"));
  const long = retryAfter !== undefined && retryAfter > LONGEST_RETRY_AFTER;
  const advice = long
    ? `It asks to wait ${Math.ceil(retryAfter / 1000)} s: try again then, or use ${
      otherSource(client)
    }`
    : `Try again later, or use ${otherSource(client)}`;
  return new HubError(
    `${problem}, ${status === 429 ? "too many requests" : "the service has trouble"}. ${advice}`,
    { ...details, temporary: !long, retryAfter },
  );
}

/** Seconds or a date, as milliseconds to wait. */
function parseRetryAfter(text: string | null): number | undefined {
  if (text === null) return undefined;
  const seconds = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : NaN;
  const wait = Number.isNaN(seconds) ? Date.parse(text) - Date.now() : seconds * 1000;
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

/** Tries up to five times, with growing, jittered waits, as long as what fails may pass. */
export async function withRetries<T>(client: HubClient, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof HubError && error.temporary)) throw error;
      if (tries === MAX_TRIES) {
        throw new HubError(`${error.message} (tried ${MAX_TRIES} times)`, {
          host: error.host,
          status: error.status,
          file: error.file,
          retryAfter: error.retryAfter,
          temporary: true,
          cause: error.cause,
        });
      }
      // Jitter keeps many clients that failed together from coming back together.
      const wait = FIRST_WAIT * 2 ** (tries - 1) * (0.5 + client.random() / 2);
      await client.sleep(Math.max(wait, error.retryAfter ?? 0), client.signal);
    }
  }
}

/**
 * A JSON answer, parsed, with its headers.
 *
 * @param maxBytes largest answer read.
 */
export function requestJson(
  client: HubClient,
  address: string,
  { maxBytes, ...purpose }: RequestPurpose & { readonly maxBytes: number },
): Promise<{ value: unknown; headers: Headers }> {
  return withRetries(client, async () => {
    const response = await requestHub(client, address, purpose);
    const { host, headers } = response;
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of response.chunks()) {
      length += part.length;
      if (length > maxBytes) {
        throw new HubError(
          `Cannot fetch ${purpose.what} from ${host}: the answer is larger than ${maxBytes} bytes, ` +
            "more than any listing of a model needs. Check the endpoint",
          { host },
        );
      }
      parts.push(part);
    }
    try {
      const text = await new Blob(parts as BlobPart[]).text();
      return { value: JSON.parse(text) as unknown, headers };
    } catch (cause) {
      throw new HubError(
        `Cannot fetch ${purpose.what} from ${host}: the answer is not JSON. ${
          unreachableAdvice(client)
        }`,
        { host, cause, temporary: true },
      );
    }
  });
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
