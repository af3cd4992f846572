/**
 * Who may ask.
 *
 * In: a request's headers. Out: nothing, or the refusal. A page of another site must not reach a
 * server on this machine, neither by its own name that resolves here nor across origins; beyond
 * this machine a token is asked for.
 */

import { timingSafeEqual } from "node:crypto";
import { ApiError } from "./api_error.ts";
import { allowedOrigin, type AllowOrigin } from "./cross_origin.ts";

/** What is let in. */
export interface AccessOptions {
  /** Whether a Host header, in lower case, names this server. */
  readonly isOwnHost: (host: string) => boolean;
  /** Whether pages of another origin may ask. @default {none may} */
  readonly allowOrigin?: AllowOrigin;
  /** The token that requests must bear, if any. */
  readonly apiKey?: string;
}

/**
 * Refuses a Host that is not the server's own, and an Origin that is neither that nor allowed.
 *
 * @throws {ApiError} 403
 */
export function assertOwnSite(
  headers: Headers,
  { isOwnHost, allowOrigin = () => false }: Pick<AccessOptions, "isOwnHost" | "allowOrigin">,
): void {
  const host = headers.get("host")?.toLowerCase() ?? "";
  if (!isOwnHost(host)) {
    throw new ApiError(
      403,
      "Cannot answer: the Host is not this server's own; start it with --allow-host for it",
      { code: "host_not_allowed" },
    );
  }
  if (allowedOrigin(headers, allowOrigin) !== undefined) return;
  const origin = headers.get("origin");
  const own = origin === null || origin === `http://${host}` || origin === `https://${host}`;
  // Browsers say where a request comes from even where they send no Origin.
  const site = headers.get("sec-fetch-site") ?? "none";
  // Who follows a link to the page leaves the other site: it sees nothing of the answer.
  const followed = headers.get("sec-fetch-mode") === "navigate" &&
    headers.get("sec-fetch-dest") === "document";
  if (!own || !(followed || ["none", "same-origin"].includes(site))) {
    throw new ApiError(
      403,
      "Cannot answer: the request comes from another site's page; start the server with " +
        `--allow-origin ${/^[\x21-\x7e]{1,100}$/.test(origin ?? "") ? origin : "ORIGIN"} to let ` +
        "that site in",
      { code: "origin_not_allowed" },
    );
  }
}

/**
 * Refuses a request without the token.
 *
 * @throws {ApiError} 401
 */
export async function assertToken(headers: Headers, apiKey: string | undefined): Promise<void> {
  if (apiKey === undefined) return;
  const given = /^Bearer\s+(\S+)\s*$/i.exec(headers.get("authorization") ?? "")?.[1] ?? "";
  // Hashes are of one length, and comparing them tells nothing by the time it takes.
  const [wanted, found] = await Promise.all([apiKey, given].map(digest));
  if (timingSafeEqual(wanted, found)) return;
  throw new ApiError(401, "Cannot answer: send the server's key as Authorization: Bearer KEY", {
    code: "invalid_api_key",
  });
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** Whether only this machine can reach an address. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** Whether every machine that can reach this one is listened to. */
function isWildcard(hostname: string): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}

/** What {@linkcode ownHosts} is made with. */
export interface OwnHostsOptions {
  /** The address that is listened on. */
  readonly hostname: string;
  readonly port: number;
  /** Further Host headers, as behind a proxy. */
  readonly allowed?: readonly string[];
}

/**
 * Tells the server's own Host headers: this machine's names and the address given, with its port.
 * Where any address is listened on, any numeric one is its own: a foreign page is known by a name.
 */
export function ownHosts(
  { hostname, port, allowed = [] }: OwnHostsOptions,
): (host: string) => boolean {
  const names = ["127.0.0.1", "localhost", "[::1]", bracketed(hostname)];
  const known = new Set([
    ...names.flatMap((name) => port === 80 ? [name, `${name}:80`] : [`${name}:${port}`]),
    ...allowed,
  ].map((each) => each.toLowerCase()));
  const numeric = new RegExp(`^(\\d{1,3}(\\.\\d{1,3}){3}|\\[[0-9a-f:.]+\\]):${port}$`);
  return (host) => known.has(host) || (isWildcard(hostname) && numeric.test(host));
}

/** An address as it stands in a URL. */
export function bracketed(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}
