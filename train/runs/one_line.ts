/**
 * A text on one line of a terminal.
 *
 * In: any text and a width in characters. Out: both of its ends, line breaks shown, without what a
 * terminal would take for its own.
 */

/** Cuts the middle out where the text is longer. */
export function oneLine(text: string, width: number): string {
  const visible = text.toWellFormed().replaceAll("\n", "↵")
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "�");
  const characters = Array.from(visible);
  if (characters.length <= width) return visible;
  const tail = Math.floor((width - 3) / 3);
  return `${characters.slice(0, width - 3 - tail).join("")} … ${characters.slice(-tail).join("")}`;
}
