/** The few figures at a page's head that a reader looks for first. In: names and values. Out: a list. */

import { type Bilingual, inBoth } from "./bilingual.ts";
import { html, type HtmlValue, type Markup } from "./html.ts";

/** A list of those that have a value. */
export function tileList(tiles: readonly (readonly [Bilingual, HtmlValue])[]): Markup {
  const known = tiles.filter(([, value]) => value !== undefined);
  return html`<ul class="tiles">${
    known.map(([name, value]) => html`<li><b>${value}</b> ${inBoth(name)}</li>`)
  }</ul>`;
}
