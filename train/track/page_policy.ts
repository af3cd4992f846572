/**
 * The content security policy of a page that is one file. In: its style sheet and its script. Out: a policy
 * that allows these two by their hashes, and no request at all.
 */

/** What the page has. */
export interface PageParts {
  readonly style: string;
  readonly script: string;
}

/** The policy, for a `meta` element. */
export async function pagePolicy({ style, script }: PageParts): Promise<string> {
  return [
    "default-src 'none'",
    `style-src ${await contentHash(style)}`,
    `script-src ${await contentHash(script)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** The source expression of an inline style or script: https://www.w3.org/TR/CSP3/#grammardef-hash-source. */
async function contentHash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `'sha256-${new Uint8Array(digest).toBase64()}'`;
}
