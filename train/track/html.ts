/**
 * HTML that cannot be broken out of.
 *
 * In: a template and values. Out: markup in which every value is text, unless it is markup itself.
 */

/**
 * Text that is markup already. Its private field keeps look-alikes out, in types and at run time.
 */
export class Markup {
  readonly #text: string;

  /** Trusts `text`: only for what this library wrote. */
  constructor(text: string) {
    this.#text = text;
  }

  get text(): string {
    return this.#text;
  }
}

/** What a template takes: `undefined` and `false` are nothing. */
export type HtmlValue = string | number | Markup | undefined | false | readonly HtmlValue[];

/**
 * Fills a template. Values may stand between tags and within attributes in double quotes; nowhere
 * else (not in scripts, styles, names and addresses).
 */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Markup {
  return new Markup(
    parts.map((part, index) => index === 0 ? part : toMarkup(values[index - 1]) + part).join(""),
  );
}

function toMarkup(value: HtmlValue): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "string" || typeof value === "number") return escapeHtml(String(value));
  return value.map(toMarkup).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};

/** Text as HTML or XML, between tags or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return cleanText(text).replace(/[&<>"'`]/g, (character) => ENTITIES[character]);
}

/** Replaces what no XML document may hold, lone surrogates and control characters, by U+FFFD. */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(
    // deno-lint-ignore no-control-regex -- control characters are what is looked for
    /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]/g,
    "\ufffd",
  );
}
