/**
 * What an answer comes to: the letters of options, a number, or what stands in `\boxed{}`.
 *
 * In: the text of an answer. Out: its last result, in one way of writing; `undefined` where it has none.
 */

/** What a reference ends with. */
export interface Result {
  readonly kind: "letters" | "number" | "boxed";
  readonly value: string;
}

/** Options by their letters where nobody lists them. */
const LETTERS = "ABCDEFGHIJ";
/** Words after which the result stands, and what may stand between. */
const CUE =
  "(?:answers?|options?|choices?|choose|select|答案|选项|选择|应选|故选|选)(?:\\s*(?:is|are|为|是|应该|应|[:：]))*\\s*";
const OPENING = "[\\s*_(（\\[【\"“'$]*";
const NUMBER = "[-−]?(?:\\d{1,3}(?:,\\d{3})+|\\d+)(?:\\.\\d+)?(?:\\s*/\\s*\\d+(?:\\.\\d+)?)?";

/** The letters that an answer chooses, each once and in order; `undefined` where it chooses none. */
export function chosenLetters(
  answer: string,
  options: Readonly<Record<string, string>>,
): string | undefined {
  return lettersIn(answer, Object.keys(options).join("")) ?? textOfOption(answer, options);
}

/** The result that a reference ends with; `undefined` where it is a text like any other. */
export function expectedResult(reference: string): Result | undefined {
  const boxed = lastBoxed(reference);
  if (boxed !== undefined) {
    const kind = isLetters(boxed) ? "letters" : isNumber(boxed) ? "number" : "boxed";
    return { kind, value: kind === "letters" ? sortLetters(boxed) : boxed };
  }
  const behind = hashed(reference);
  if (behind !== undefined) return { kind: "number", value: behind };
  const whole = reference.trim().replace(/[.。]$/, "");
  if (isLetters(whole)) return { kind: "letters", value: sortLetters(whole) };
  return isNumber(whole) ? { kind: "number", value: whole } : undefined;
}

/** The result of an answer, of the kind that the reference's has. */
export function resultOf(answer: string, kind: Result["kind"]): string | undefined {
  if (kind === "letters") return lettersIn(answer, LETTERS);
  const boxed = lastBoxed(answer);
  if (kind === "boxed" || boxed !== undefined) return boxed;
  return hashed(answer) ?? lastOf(answer, new RegExp(`${CUE}${OPENING}(${NUMBER})`, "gi")) ??
    lastOf(answer, new RegExp(`(${NUMBER})`, "g"));
}

/** Whether two results are one: as numbers where both are, else as texts without blanks and signs of layout. */
export function sameResult(a: string, b: string): boolean {
  const [left, right] = [a, b].map(numberOf);
  if (left !== undefined && right !== undefined) {
    return Math.abs(left - right) <= 1e-9 * Math.max(1, Math.abs(left), Math.abs(right));
  }
  const [one, other] = [a, b].map((text) =>
    text.replace(/\\(?:left|right|text|,|!|;)|[\s${}]/g, "")
  );
  return one === other;
}

/** Letters in `\boxed{}`, after a word such as "answer", at the start, or the only ones of the text. */
function lettersIn(answer: string, letters: string): string | undefined {
  const boxed = lastBoxed(answer);
  if (boxed !== undefined) return isLetters(boxed, letters) ? sortLetters(boxed) : undefined;
  const list =
    `([${letters}](?:\\s*(?:,|、|，|;|；|/|&|and|和|及|与)?\\s*[${letters}])*)(?![A-Za-z])`;
  const cued = lastOf(
    answer,
    new RegExp(`${CUE.replace("answers?", "[Aa]nswers?")}${OPENING}${list}`, "g"),
  );
  const found = cued ?? new RegExp(`^${OPENING}${list}`).exec(withoutArticle(answer))?.[1];
  if (found !== undefined) return sortLetters(found);
  const alone = withoutArticle(answer).match(
    new RegExp(`(?<![A-Za-z])[${letters}](?![A-Za-z'’])`, "g"),
  );
  return alone && new Set(alone).size === 1 ? alone[0] : undefined;
}

/** An A before a word in lower case is the article. */
function withoutArticle(text: string): string {
  return text.replace(/(?<![A-Za-z])A(?=\s+(?!(?:and|or)\b)[a-z])/g, "a");
}

/** The option that an answer writes out. */
function textOfOption(
  answer: string,
  options: Readonly<Record<string, string>>,
): string | undefined {
  const plain = (text: string): string => text.trim().replace(/[.。]$/, "").toLowerCase();
  const found = Object.entries(options).filter(([, text]) => plain(text) === plain(answer));
  return found.length === 1 ? found[0][0] : undefined;
}

/** What stands in the last `\boxed{}`, braces balanced. */
function lastBoxed(text: string): string | undefined {
  const mark = "\\boxed{";
  const from = text.lastIndexOf(mark);
  if (from < 0) return undefined;
  let depth = 1;
  for (let at = from + mark.length; at < text.length; at++) {
    depth += text[at] === "{" ? 1 : text[at] === "}" ? -1 : 0;
    if (depth === 0) return text.slice(from + mark.length, at).trim();
  }
  return undefined;
}

/** The number behind `####`, as GSM8K writes it. */
function hashed(text: string): string | undefined {
  return lastOf(text, new RegExp(`####\\s*\\$?(${NUMBER})`, "g"));
}

function lastOf(text: string, pattern: RegExp): string | undefined {
  return [...text.matchAll(pattern)].at(-1)?.[1];
}

function isLetters(text: string, letters: string = LETTERS): boolean {
  return new RegExp(`^[(（]?[${letters}](?:[\\s,、，;；/&]*[${letters}])*[)）]?$`).test(
    text.trim(),
  );
}

function sortLetters(text: string): string {
  return [...new Set(text.match(/[A-Z]/g))].sort().join("");
}

function isNumber(text: string): boolean {
  return numberOf(text) !== undefined;
}

/** The value of a number, of a fraction, or of a share in percent; units make it a text. */
function numberOf(text: string): number | undefined {
  const plain = text.trim().replace(/\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}/, "$1/$2")
    .replace(/^[$￥¥]|\\?%$/g, "").replace("−", "-");
  if (!new RegExp(`^${NUMBER}$`).test(plain)) return undefined;
  const [over, under = "1"] = plain.replaceAll(",", "").split("/");
  const value = Number(over) / Number(under);
  // By 0 there is none, and an infinite one would be near any other.
  return Number.isFinite(value) ? value : undefined;
}
