/**
 * Pages of other origins that may ask: CORS, as the Fetch standard has it.
 *
 * In: origins that were allowed, a request. Out: whether it may, the answer to a preflight, and the
 * headers that let the page read an answer. https://fetch.spec.whatwg.org/#http-cors-protocol
 */

/** Tells whether a page of an origin may ask. */
export type AllowOrigin = (origin: string) => boolean;

/** Seconds that a browser remembers a preflight. */
const MAX_AGE = 600;
/** A header's name. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;
/** Most names of headers that a preflight may list: clients of OpenAI's send some ten. */
const MAX_HEADERS = 64;

/**
 * An origin as browsers write it.
 *
 * @throws {RangeError} where it is none, or one that any page can have
 */
export function parseOrigin(text: string): string {
  if (text === "*") return text;
  const fail = (why: string): never => {
    throw new RangeError(`Cannot allow the origin ${JSON.stringify(text.slice(0, 100))}: ${why}`);
  };
  if (text === "null") {
    fail("any page in a sandbox and any file has it; serve the page from an address of its own");
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return fail(
      "write it as a scheme and a host, such as https://chat.example or http://localhost:3000",
    );
  }
  const { protocol, host, pathname, search, hash, username, password } = url;
  const bare = ["", "/"].includes(pathname) && `${search}${hash}${username}${password}` === "";
  if (host === "" || !bare) fail("an origin is a scheme, a host and a port, without a path");
  return `${protocol}//${host}`.toLowerCase();
}

/** Tells the origins that are allowed; `*` allows all but `null`. */
export function allowedOrigins(origins: readonly string[]): AllowOrigin {
  const known = new Set(origins.map(parseOrigin));
  // Of `null` nobody knows who it is.
  return (origin) => origin !== "null" && (known.has("*") || known.has(origin.toLowerCase()));
}

/** The origin of a request whose page may ask; `undefined` for all others. */
export function allowedOrigin(headers: Headers, allow: AllowOrigin): string | undefined {
  const origin = headers.get("origin");
  return origin !== null && allow(origin) ? origin : undefined;
}

/** Whether a browser asks for leave first. */
export function isPreflight({ method, headers }: Request): boolean {
  return method === "OPTIONS" && headers.has("origin") &&
    headers.has("access-control-request-method");
}

/** The answer to a preflight of an allowed page, but for what {@linkcode addCors} adds. */
export function preflightHeaders(
  { headers }: Request,
  methods: readonly string[],
): Record<string, string> {
  const asked = (headers.get("access-control-request-headers") ?? "").split(",")
    .map((name) => name.trim()).filter((name) => TOKEN.test(name)).slice(0, MAX_HEADERS);
  // Headers that the server does not know change nothing.
  const names = [...new Set([...asked, "authorization", "content-type"])];
  const local = headers.get("access-control-request-private-network") === "true";
  return {
    "access-control-allow-methods": methods.join(", "),
    "access-control-allow-headers": names.join(", "),
    "access-control-max-age": `${MAX_AGE}`,
    // A page of the open web that asks a machine behind it: https://wicg.github.io/private-network-access/
    ...(local ? { "access-control-allow-private-network": "true" } : {}),
  };
}

/** Lets an allowed page read an answer. */
export function addCors(headers: Headers, origin: string | undefined): void {
  headers.append("vary", "Origin");
  if (origin === undefined) return;
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", "retry-after");
  headers.set("cross-origin-resource-policy", "cross-origin");
}
