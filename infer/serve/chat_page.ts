/**
 * The files of the page to chat with.
 *
 * Out: bodies and types by their paths. Script and style are files of this folder; markdown and its
 * sanitizer are the scripts of their npm packages, as they are. Nothing comes from elsewhere.
 */

import DOMPURIFY from "dompurify" with { type: "text" };
import MARKED from "marked" with { type: "text" };
import CLIENT from "./chat_client.js" with { type: "text" };
import PAGE from "./chat_page.html" with { type: "text" };
import STYLE from "./chat_style.css" with { type: "text" };
import WORDS from "./chat_words.js" with { type: "text" };

/** A file that the server serves. */
export interface PageFile {
  readonly type: string;
  readonly body: string;
}

const script = (body: string): PageFile => ({ type: "text/javascript", body });

/** The files by their paths. */
export const PAGE_FILES: ReadonlyMap<string, PageFile> = new Map([
  ["/", { type: "text/html", body: PAGE }],
  ["/chat_client.js", script(CLIENT)],
  ["/chat_words.js", script(WORDS)],
  // Their source maps are not served, so that no request is made for them.
  ["/marked.js", script(withoutSourceMap(MARKED))],
  ["/dompurify.js", script(withoutSourceMap(DOMPURIFY))],
  ["/chat_style.css", { type: "text/css", body: STYLE }],
  ["/favicon.svg", { type: "image/svg+xml", body: favicon() }],
]);

/**
 * What the page may do: run its own scripts, found by its own import map, and ask its own server. Markup from text is made by
 * DOMPurify alone, which the browser sees to where it knows trusted types.
 */
export const PAGE_POLICY: string = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${await importMapHash()}'`,
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types dompurify",
].join("; ");

async function importMapHash(): Promise<string> {
  const [, map] = /<script type="importmap">([^<]*)<\/script>/.exec(PAGE)!;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(map));
  return new Uint8Array(digest).toBase64();
}

function withoutSourceMap(source: unknown): string {
  return String(source).replace(/^\/\/# sourceMappingURL=.*$/m, "");
}

/** An o that is a tuned dial. */
function favicon(): string {
  return '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">' +
    '<rect width="32" height="32" rx="8" fill="#0d7d6c"/>' +
    '<circle cx="16" cy="16" r="8" fill="none" stroke="#fff" stroke-width="3.5"/>' +
    '<path d="M16 16 21 11" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>';
}
