/**
 * Dates as chat templates ask for them.
 *
 * In: a date and a format with Python's directives. Out: the text, in local time and English.
 */

/** Replaces `%d`, `%b`, `%Y` and their like; a directive it does not know stays as it is. */
export function strftime(date: Date, format: string): string {
  const name = (options: Intl.DateTimeFormatOptions): string =>
    date.toLocaleString("en-US", options);
  const two = (value: number): string => String(value).padStart(2, "0");
  const directives: Record<string, () => string> = {
    a: () => name({ weekday: "short" }),
    A: () => name({ weekday: "long" }),
    b: () => name({ month: "short" }),
    B: () => name({ month: "long" }),
    d: () => two(date.getDate()),
    m: () => two(date.getMonth() + 1),
    y: () => two(date.getFullYear() % 100),
    Y: () => String(date.getFullYear()),
    H: () => two(date.getHours()),
    I: () => two(date.getHours() % 12 || 12),
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
    p: () => date.getHours() < 12 ? "AM" : "PM",
    "%": () => "%",
  };
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, dash: string, letter: string) => {
    if (!Object.hasOwn(directives, letter)) return whole;
    const text = directives[letter]();
    return dash === "" ? text : text.replace(/^0(?=.)/, "");
  });
}
