/**
 * Plain values as YAML that PyYAML reads back as they were.
 *
 * In: a value as JSON knows them. Out: its text on one line. JSON is nearly YAML; PyYAML, which
 * keeps to YAML 1.1, takes `1e-7` for a text and refuses some characters as they are.
 */

/**
 * A value in YAML's flow style. What JSON lacks becomes null; numbers that are not finite become
 * texts, as `swanlab sync` sends the values as JSON, and tries again without end where it cannot.
 */
export function toYaml(value: unknown): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      return toYamlNumber(value);
    case "boolean":
    case "bigint":
      return String(value);
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return `[${value.map(toYaml).join(", ")}]`;
      return `{${
        Object.entries(value).filter(([, each]) => each !== undefined)
          .map(([key, each]) => `${quote(key)}: ${toYaml(each)}`).join(", ")
      }}`;
    default:
      return "null";
  }
}

function toYamlNumber(value: number): string {
  if (!Number.isFinite(value)) return quote(String(value));
  return String(value).replace(/^(-?\d+)e/, "$1.0e");
}

function quote(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(
    // All but printable ASCII, accented letters and the planes of CJK and others.
    /[^\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
