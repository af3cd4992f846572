/** A page's own style and script as its content security policy names them. In: text. Out: a source. */

/** The source expression of an inline style or script: https://www.w3.org/TR/CSP3/#grammardef-hash-source. */
export async function contentHash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `'sha256-${new Uint8Array(digest).toBase64()}'`;
}
