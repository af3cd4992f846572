/**
 * Why a text is no JSON, in words that say what to do.
 *
 * In: a text that JSON.parse refused. Out: the character, what stands there, and where it is a known
 * mistake the remedy.
 */

import { parseStrictJson, StrictJsonError } from "./strict_json.ts";

/** Deepest nesting that is looked into: deeper text is refused by its reader anyway. */
const MAX_DEPTH = 500;
/** Characters of the text that a message shows before and after the fault. */
const BEFORE = 16;
const AFTER = 12;

/** What stands at the fault, and what to do about it. */
interface Mistake {
  readonly found: RegExp;
  /** What came before it, on the same line. */
  readonly after?: RegExp;
  readonly remedy: string;
}

const PYTHON = "this is how Python prints, not JSON: write rows with json.dumps";
const MISTAKES: readonly Mistake[] = [
  { found: /^[-+]?(?:NaN|nan|Infinity|inf)\b/, remedy: "JSON has no such number: write null" },
  { found: /^(?:None|True|False)\b/, remedy: PYTHON },
  { found: /^u?'/, remedy: PYTHON },
  { found: /^[\]}]/, after: /,\s*$/, remedy: "remove the comma before it" },
  { found: /^,/, after: /[,[{]\s*$/, remedy: "remove one comma" },
  { found: /^\ufeff/, remedy: "a byte order mark, as joined files have: remove it" },
  { found: /^(?:\/\/|\/\*|#)/, remedy: "JSON has no comments: remove it" },
  { found: /^[“”„‘’]/, remedy: 'typographic quotes: write "' },
  { found: /^undefined\b/, remedy: "write null" },
  { found: /^[A-Za-z_$][\w$]*\s*:/, remedy: "put the name in double quotes" },
  { found: /^\r/, remedy: "a line break inside a string is written \\r" },
  { found: /^\t/, remedy: "a tab inside a string is written \\t" },
  { found: /^[[{"]/, after: /[\]}]\s*$/, remedy: "a second value: write one a line" },
  { found: /^[[{"]/, after: /["\d\w\]}]\s+$/, remedy: "put a comma before it" },
  {
    found: /^$/,
    remedy: "it was cut, or goes on in the next line: write each row whole on one line",
  },
];

/** Names the fault: `at character 9, after "…": found "N"; remedy`. */
export function describeJsonFault(text: string): string {
  const fault = findFault(text);
  if (fault === undefined) return `invalid JSON ${JSON.stringify(head(text))}`;
  const { position, problem } = fault;
  const before = text.slice(0, position);
  const rest = text.slice(position);
  const known = MISTAKES.find(({ found, after }) =>
    found.test(rest) && (after === undefined || after.test(before))
  );
  const seen = rest === "" ? "the end of the line" : JSON.stringify(
    rest.slice(0, AFTER).toWellFormed(),
  ).replaceAll("\ufeff", "\\ufeff");
  const place = before === ""
    ? ""
    : ` after ${JSON.stringify(before.slice(-BEFORE).toWellFormed())}`;
  return `invalid JSON at character ${position + 1}${place}: ${
    known
      ? `got ${seen}; ${known.remedy}`
      : problem.includes("found")
      ? problem
      : `${problem}, at ${seen}`
  }`;
}

function findFault(text: string): StrictJsonError | undefined {
  try {
    parseStrictJson(text, { maxDepth: MAX_DEPTH, maxEntries: Infinity, anyNumber: true });
  } catch (cause) {
    if (cause instanceof StrictJsonError) return cause;
    throw cause;
  }
}

function head(text: string): string {
  return text.slice(0, BEFORE + AFTER).toWellFormed();
}
