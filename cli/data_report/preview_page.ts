/**
 * The page of `deno task data --preview`.
 *
 * In: rows as training reads them. Out: one HTML document that needs nothing else and asks nobody for
 * anything: its policy allows its own style and script alone. All texts of the data are escaped.
 */

import { type Bilingual, inBoth, LANGUAGE_SCRIPT } from "../../train/track/bilingual.ts";
import { formatCount } from "../../train/track/format_units.ts";
import { escapeHtml, html, type HtmlValue, Markup } from "../../train/track/html.ts";
import { renderPage } from "../../train/track/page.ts";
import { REPORT_STYLE } from "../../train/track/report_style.ts";
import type { Preview, PreviewExample, PreviewRow } from "./preview_rows.ts";
import { previewText as text } from "./preview_words.ts";
import type { BlockToken, TokenBlock } from "./token_blocks.ts";

const STYLE: string = `${REPORT_STYLE}
:root { --taught: #e3f5e8; --taught-line: #1a7f37; --special: #8250df; }
.search { position: sticky; top: 0; z-index: 1; padding: 12px 0; background: var(--page); }
.search input { width: 100%; padding: 8px 12px; font: inherit; color: inherit;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.legend, .note { margin: 4px 0; color: var(--soft); font-size: 13px; }
.refused { color: var(--bad); }
.block { margin: 8px 0; padding: 6px 12px; border-inline-start: 3px solid var(--line); }
.block.assistant, .block.completion { border-inline-start-color: var(--accent); }
.block h4 { margin: 0 0 2px; text-transform: none; letter-spacing: 0; }
.block details { margin: 4px 0; }
.tokens { font: 13px/1.8 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.tokens i, .tokens b { position: relative; font-style: normal; font-weight: 400;
  border-radius: 2px; }
.tokens i:nth-child(even), .tokens b:nth-child(even) { opacity: .82; }
.tokens b { background: var(--taught); border-bottom: 2px solid var(--taught-line); }
.tokens :empty::before { content: "·"; }
.tokens .s { color: var(--special); }
.tokens [data-i]:hover { outline: 1px solid var(--accent); }
.tokens [data-i]:hover::after { content: attr(data-i); position: absolute; inset-inline-start: 0;
  bottom: 100%; padding: 0 6px; color: var(--page); background: var(--text); border-radius: 4px;
  line-height: 1.6; white-space: nowrap; pointer-events: none; }
[hidden] { display: none; }
@media (prefers-color-scheme: dark) {
:root { --taught: #12301d; --taught-line: #3fb950; --special: #d2a8ff; }
}
`;

/** Hides the rows that do not have what is searched for. */
const SCRIPT: string = `${LANGUAGE_SCRIPT}
const rows = [...document.querySelectorAll("article")];
const found = document.querySelector("#none");
document.querySelector("#search").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  let shown = 0;
  for (const row of rows) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
    if (!row.hidden) shown++;
  }
  found.hidden = shown > 0;
});
`;

/** Renders the page. */
export function renderPreview(previews: readonly Preview[]): Promise<string> {
  const rows = previews.flatMap((preview) => preview.rows);
  const title = previews.map(({ path }) => path).join(", ");
  const examples = rows.flatMap((row) => row.examples);
  const sum = (of: (example: PreviewExample) => number): string =>
    formatCount(examples.reduce((all, example) => all + of(example), 0));
  const tiles: readonly (readonly [Bilingual, string])[] = [
    [text((words) => words.rows), formatCount(rows.length)],
    [text((words) => words.examples), formatCount(examples.length)],
    [text((words) => words.tokens), sum(({ tokens }) => tokens)],
    [text((words) => words.taught), sum(({ taught }) => taught)],
    [
      text((words) => words.refused),
      formatCount(rows.filter(({ refused }) => refused !== undefined).length),
    ],
  ];
  return renderPage({
    title,
    style: STYLE,
    script: SCRIPT,
    tiles,
    legend: html`
      <p class="legend">${inBoth(text((words) => words.legend))}</p>
      ${previews.length === 1 && sourceNote(previews[0])}
    `,
    main: html`
      <div class="search">
        <label>${inBoth(text((words) => words.search))}
          <input id="search" type="search" autocomplete="off"></label>
      </div>
      <p id="none" hidden>${inBoth(text((words) => words.none))}</p>
      ${previews.length === 1 ? rows.map(rowMarkup) : previews.map(sourceMarkup)}
    `,
    footer: text((words) => words.writtenBy),
  });
}

function sourceNote(preview: Preview): Markup {
  return html`<p class="legend">${inBoth(text((words) => words.first(preview)))}</p>`;
}

function sourceMarkup(preview: Preview): Markup {
  return html`
    <h2 dir="auto" lang="">${preview.path}</h2>
    ${sourceNote(preview)}
    ${preview.rows.map(rowMarkup)}
  `;
}

function rowMarkup(row: PreviewRow): Markup {
  const { examples, unread, refused } = row;
  return html`
    <article>
    <h3>${inBoth(text((words) => words.row(row)))}</h3>
    ${refused !== undefined && html`<p class="note refused" dir="auto">${refused}</p>`}
    ${unread.length > 0 &&
      html`<p class="note">${inBoth(text((words) => words.unread(unread)))}</p>`}
    ${refused === undefined && examples.length === 0 &&
      html`<p class="note">${inBoth(text((words) => words.nothing))}</p>`}
    ${examples.map(exampleMarkup)}
    </article>
  `;
}

function exampleMarkup(example: PreviewExample): Markup {
  return html`
    <p class="note">${inBoth(text((words) => words.example(example)))}</p>
    ${example.blocks.map(blockMarkup)}
  `;
}

function blockMarkup({ role, tokens, thinking }: TokenBlock): Markup {
  const title = text((words) => words.block(role, tokens.length));
  const [from, to] = thinking ?? [tokens.length, tokens.length];
  const folded = tokens.slice(from, to);
  const known = ["assistant", "completion"].includes(role) && role;
  return html`<div class="block ${known}"><h4>${inBoth(title)}</h4>${
    tokensMarkup(
      tokens.slice(0, from),
    )
  }${
    folded.length > 0 &&
    html`<details><summary>${
      inBoth(
        text((words) => words.block(words.thinking, folded.length)),
      )
    }</summary>${tokensMarkup(folded)}</details>`
  }${tokensMarkup(tokens.slice(to))}</div>`;
}

function tokensMarkup(tokens: readonly BlockToken[]): HtmlValue {
  // Not by the template, as every blank shows.
  return tokens.length > 0 &&
    new Markup(
      `<div class="tokens" dir="auto" lang="">${tokens.map(tokenMarkup).join("")}</div>`,
    );
}

function tokenMarkup({ id, text, taught, special }: BlockToken): string {
  // A part of a character is shown with its last part, and has a sign of its own by the style.
  const shown = escapeHtml(text).replaceAll("\n", "↵\n");
  const tag = taught ? "b" : "i";
  return `<${tag} data-i="${id}"${special ? ' class="s"' : ""}>${shown}</${tag}>`;
}
