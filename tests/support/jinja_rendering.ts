/** Rendering of templates as tests/fixtures/jinja/make.py does it: at one time, errors as values. */

import assert from "node:assert/strict";
import { strftime } from "../../data/text/strftime.ts";

const now = new Date(2026, 10, 21, 9, 5, 3);

/** What a template may call, at the time of the fixtures. */
export const rendering = { strftime: (format: string): string => strftime(now, format) };

/** The text, or the error as a value. */
export function attempt(render: () => string): string | Error {
  try {
    return render();
  } catch (error) {
    assert.ok(error instanceof Error);
    const known = [
      "PythonError",
      "TemplateSyntaxError",
      "UnsupportedError",
      "TemplateLimitError",
    ];
    if (!known.includes(error.name)) throw error;
    return error;
  }
}
