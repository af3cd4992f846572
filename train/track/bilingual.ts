/**
 * Pages in English and Chinese.
 *
 * In: a text in both languages. Out: markup that is English, and in a browser that speaks Chinese is made
 * Chinese by a script of a few lines, which the page's policy allows by its hash. Without scripts, as in a
 * mail program, a page stays English.
 */

import { escapeHtml, html, Markup } from "./html.ts";

/** A text in both languages. */
export interface Bilingual {
  readonly en: string;
  readonly zh: string;
}

/** The page's only script: it puts texts that the page holds in the place of others. */
export const LANGUAGE_SCRIPT: string = `
if (navigator.language.toLowerCase().startsWith("zh")) {
  document.documentElement.lang = "zh-CN";
  for (const each of document.querySelectorAll("[data-zh]")) each.textContent = each.dataset.zh;
  for (const each of document.querySelectorAll("[data-zh-label]")) {
    each.setAttribute("aria-label", each.dataset.zhLabel);
  }
}
`;

/** The text as markup. */
export function inBoth({ en, zh }: Bilingual): Markup {
  return html`<span data-zh="${zh}">${en}</span>`;
}

/** Gives the texts of a chart that `words` knows by their English their Chinese. */
export function translateChart(svg: string, words: Iterable<Bilingual>): Markup {
  const known = new Map([...words].map(({ en, zh }) => [escapeHtml(en), escapeHtml(zh)]));
  const translated = svg
    .replace(/<text([^>]*)>([^<]*)</g, (all, attributes, text) => {
      const zh = known.get(text.trim());
      return zh === undefined ? all : `<text${attributes} data-zh="${zh}">${text}<`;
    })
    .replace(/ aria-label="([^"]*)"/g, (all, text) => {
      const zh = known.get(text);
      return zh === undefined ? all : `${all} data-zh-label="${zh}"`;
    });
  return new Markup(translated);
}
