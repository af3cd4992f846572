/**
 * Dates as chat templates ask for them.
 *
 * In: a date and a format with Python's directives. Out: the text, in local time and English, as
 * Python gives it on Linux (glibc's strftime in the C locale): flags, widths and all.
 */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = (
  "January February March April May June July August September October November December"
).split(" ");
const DAY_MS = 24 * 60 * 60 * 1000;

/** A number and how wide it is. */
interface Numeric {
  readonly value: number;
  readonly width: number;
  /** What fills it up. @default {"0"} */
  readonly fill?: " ";
}

/** Directives that stand for others. */
const COMPOSITES: Readonly<Record<string, string>> = {
  c: "%a %b %e %H:%M:%S %Y",
  D: "%m/%d/%y",
  F: "%Y-%m-%d",
  r: "%I:%M:%S %p",
  R: "%H:%M",
  T: "%H:%M:%S",
  x: "%m/%d/%y",
  X: "%H:%M:%S",
};

/** Days since the year began. */
function dayOfYear(date: Date): number {
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  return Math.round((Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / DAY_MS);
}

/** Week and year of ISO 8601, whose weeks begin on Monday and belong to the year of their Thursday. */
function isoWeek(date: Date): { readonly week: number; readonly year: number } {
  const thursday = new Date(date);
  thursday.setDate(date.getDate() + 3 - (date.getDay() + 6) % 7);
  return { week: Math.floor(dayOfYear(thursday) / 7) + 1, year: thursday.getFullYear() };
}

/** The number of a directive; undefined where it stands for none. */
function numeric(date: Date, letter: string): Numeric | undefined {
  const two = (value: number): Numeric => ({ value, width: 2 });
  const blank = (value: number): Numeric => ({ value, width: 2, fill: " " });
  const year = date.getFullYear();
  const [hour, weekday] = [date.getHours(), date.getDay()];
  switch (letter) {
    case "C":
      return two(Math.floor(year / 100));
    case "d":
      return two(date.getDate());
    case "e":
      return blank(date.getDate());
    case "g":
      return two(isoWeek(date).year % 100);
    case "G":
      return { value: isoWeek(date).year, width: 4 };
    case "H":
      return two(hour);
    case "I":
      return two(hour % 12 || 12);
    case "j":
      return { value: dayOfYear(date) + 1, width: 3 };
    case "k":
      return blank(hour);
    case "l":
      return blank(hour % 12 || 12);
    case "m":
      return two(date.getMonth() + 1);
    case "M":
      return two(date.getMinutes());
    case "s":
      return { value: Math.floor(date.getTime() / 1000), width: 1 };
    case "S":
      return two(date.getSeconds());
    case "u":
      return { value: weekday || 7, width: 1 };
    case "U":
      return two(Math.floor((dayOfYear(date) + 7 - weekday) / 7));
    case "V":
      return two(isoWeek(date).week);
    case "w":
      return { value: weekday, width: 1 };
    case "W":
      return two(Math.floor((dayOfYear(date) + 7 - (weekday + 6) % 7) / 7));
    case "y":
      return two(year % 100);
    case "Y":
      return { value: year, width: 4 };
    default:
      return undefined;
  }
}

/** The text of a directive; undefined where it stands for none. */
function word(date: Date, letter: string): string | undefined {
  switch (letter) {
    case "a":
      return DAYS[date.getDay()].slice(0, 3);
    case "A":
      return DAYS[date.getDay()];
    case "b":
    case "h":
      return MONTHS[date.getMonth()].slice(0, 3);
    case "B":
      return MONTHS[date.getMonth()];
    case "n":
      return "\n";
    case "p":
      return date.getHours() < 12 ? "AM" : "PM";
    case "P":
      return date.getHours() < 12 ? "am" : "pm";
    case "t":
      return "\t";
    case "%":
      return "%";
    default:
      return letter in COMPOSITES ? strftime(date, COMPOSITES[letter]) : undefined;
  }
}

/** Flags, a width, `E` or `O` where the C library takes it, and a letter. */
const DIRECTIVE =
  /%([-_0^#]*)(\d*)(?:E(?=[cCnpPrRtTuxXyY])|O(?=[bBCdegGhHIjklmMnpPrRStTuUVwWy]))?([a-zA-Z%])/g;

/** Widths beyond this are no date's. */
const MAX_WIDTH = 100;

/** Replaces `%d`, `%b`, `%Y` and their like; a directive it does not know stays as it is. */
export function strftime(date: Date, format: string): string {
  return format.replace(
    DIRECTIVE,
    (whole: string, flags: string, columns: string, letter: string) => {
      // Python's own: a date without a time zone has neither a name nor an offset for it.
      if (whole === "%f") return String(date.getMilliseconds() * 1000).padStart(6, "0");
      if (whole === "%z" || whole === "%Z") return "";
      const number = numeric(date, letter);
      const text = number === undefined ? word(date, letter) : String(number.value);
      if (text === undefined) return whole;
      const pad = /[-_0](?=[\^#]*$)/.exec(flags)?.[0];
      const fill = pad === "_" || pad === "-"
        ? " "
        : pad === "0"
        ? "0"
        : number
        ? number.fill ?? "0"
        : " ";
      const width = columns !== "" ? Number(columns) : pad === "-" ? 0 : number?.width ?? 0;
      return withCase(text, letter, flags).padStart(Math.min(width, MAX_WIDTH), fill);
    },
  );
}

function withCase(text: string, letter: string, flags: string): string {
  if (letter === "P") return text;
  if (flags.includes("#") && !(letter in COMPOSITES)) {
    return letter === "p" ? text.toLowerCase() : text.toUpperCase();
  }
  return flags.includes("^") ? text.toUpperCase() : text;
}
