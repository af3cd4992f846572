/**
 * The page of the dashboard.
 *
 * In: runs, or nothing for a page that asks its server. Out: HTML. Nothing in it comes from
 * elsewhere: script and style are files of this folder, within the report or from the server.
 */

import CLIENT from "./dashboard_client.js" with { type: "text" };
import STYLE from "./dashboard.css" with { type: "text" };
import { metricNames, metrics } from "../../infer/evaluate/metrics.ts";
import { html, Markup } from "./html.ts";
import { pagePolicy } from "./page_policy.ts";
import type { Measure, RunData } from "./run_update.ts";

/** The page's script. */
export const DASHBOARD_CLIENT: string = CLIENT;
/** The page's style sheet. */
export const DASHBOARD_STYLE: string = STYLE;

/** What replies may be measured by, for charts of their own. */
const MEASURES: readonly Measure[] = metricNames.map((name) => ({
  key: `eval_${name}`,
  ...metrics[name].title,
}));

/** The page that a dashboard's server serves beside `/client.js` and `/style.css`. */
export function renderLivePage(): string {
  return page(
    html`
      <link rel="stylesheet" href="/style.css">
      <script type="module" src="/client.js"></script>
    `,
  );
}

/**
 * The same comparison as one file that needs nothing else. Its content security policy allows its
 * own script and style sheet, by their hashes, and no request at all.
 */
export async function renderRunsPage(runs: readonly RunData[]): Promise<string> {
  const policy = await pagePolicy({ style: STYLE, script: CLIENT });
  return page(
    html`
      <meta http-equiv="Content-Security-Policy" content="${policy}">
      <style>${new Markup(STYLE)}</style>
      ${dataBlock("data", runs)}
      <script type="module">${new Markup(CLIENT)}</script>
    `,
  );
}

/** Data for the script. A data block is text to the parser but for its end tag: no "<" is left in it. */
function dataBlock(id: string, data: unknown): Markup {
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  return html`<script type="application/json" id="${id}">${new Markup(json)}</script>`;
}

function page(head: Markup): string {
  const { text } = html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta name="referrer" content="no-referrer">
        <title>ortune</title>
        ${dataBlock("measures", MEASURES)}
        ${head}
      </head>
      <body>
        <main id="dashboard"></main>
      </body>
    </html>
  `;
  return `${text.trim()}\n`;
}
