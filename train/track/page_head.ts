/**
 * The `head` of a page that is one file. In: its title, its style sheet and its script. Out: the element, with the
 * policy that allows these two and no request at all.
 */

import { html, Markup } from "./html.ts";
import { type PageParts, pagePolicy } from "./page_policy.ts";

/** The `head` element; the page itself writes its script, at the end of its `body`. */
export async function pageHead(
  { title, style, script }: PageParts & { readonly title: string },
): Promise<Markup> {
  const policy = await pagePolicy({ style, script });
  return html`
    <head>
      <meta charset="utf-8">
      <meta http-equiv="Content-Security-Policy" content="${policy}">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <meta name="referrer" content="no-referrer">
      <title>${title}</title>
      <style>${new Markup(style)}</style>
    </head>
  `;
}
