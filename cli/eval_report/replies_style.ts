/** The style sheet of pages that show replies beside each other. In: nothing. Out: CSS for light and dark screens. */

import { REPORT_STYLE } from "../../train/track/report_style.ts";

/** The style of reports, and of replies with marks in them. */
export const REPLIES_STYLE: string = `${REPORT_STYLE}
:root { --mark: #fff0c2; --good: #1a7f37; }
.note { margin: 4px 0; color: var(--soft); font-size: 13px; }
.figures th:first-child, .figures td:first-child { text-align: start; }
.figures thead th { white-space: normal; overflow-wrap: normal; }
.figures th, .figures td { padding: 6px 10px; }
.figures small { color: var(--soft); }
.replies { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); }
.replies > div { min-width: 0; }
mark { background: var(--mark); color: inherit; border-radius: 2px; }
@media (prefers-color-scheme: dark) {
:root { --mark: #4a3a00; --good: #3fb950; }
}
`;
