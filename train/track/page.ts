/**
 * A page that is one file and asks nobody for anything: reports of runs, data, evaluations and exports. In: its parts. Out:
 * the document. Its policy allows its one style sheet and its one script, by hash, and no request at all.
 */

import { type Bilingual, inBoth } from "./bilingual.ts";
import { html, type HtmlValue, Markup } from "./html.ts";
import { type PageParts, pagePolicy } from "./page_policy.ts";

/** What a page is made of. */
export interface Page extends PageParts {
  /** Its title, which may be of files and models. */
  readonly title: string;
  /** What stands at its head in place of the title. @default the title, in no known language */
  readonly heading?: Bilingual;
  /** The title's language. @default not known */
  readonly language?: string;
  /** The figures at its head, left out where there is no value. */
  readonly tiles: readonly (readonly [Bilingual, HtmlValue])[];
  /** What stands below them. */
  readonly legend?: HtmlValue;
  readonly main: HtmlValue;
  /** Who wrote it. */
  readonly footer: Bilingual;
}

/** The few figures that a reader looks for first, those that have a value. */
function tileList(tiles: Page["tiles"]): HtmlValue {
  const known = tiles.filter(([, value]) => value !== undefined);
  return known.length > 0 &&
    html`<ul class="tiles">${
      known.map(([name, value]) => html`<li><b>${value}</b> ${inBoth(name)}</li>`)
    }</ul>`;
}

/** Renders the document. */
export async function renderPage(page: Page): Promise<string> {
  const { title, heading, language = "", style, script, tiles, legend, main, footer } = page;
  const document = html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="${await pagePolicy({ style, script })}">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta name="referrer" content="no-referrer">
        <title>${title}</title>
        <style>${new Markup(style)}</style>
      </head>
      <body>
        <header>
          ${heading
            ? html`<h1 dir="auto">${inBoth(heading)}</h1>`
            : html`<h1 dir="auto" lang="${language}">${title}</h1>`}
          ${tileList(tiles)}
          ${legend}
        </header>
        <main>${main}</main>
        <footer>${inBoth(footer)}</footer>
        <script>${new Markup(script)}</script>
      </body>
    </html>
  `;
  return `${document.text.trim()}\n`;
}
