import assert from "node:assert/strict";
import { drawMutants, withMutant } from "./draw_mutants.ts";

/** The texts that faults make of one. */
function faults(text: string): string[] {
  return drawMutants("x.ts", text).map((mutant) => withMutant(text, mutant));
}

Deno.test("drawMutants() turns limits, conditions, constants and operators round", () => {
  assert.deepEqual(faults("const a = b <= 3 && !c;"), [
    "const a = b < 3 && !c;",
    "const a = b <= 4 && !c;",
    "const a = b <= 3 || !c;",
  ]);
  assert.deepEqual(faults("if (a) b = true;"), [
    "if (!(a)) b = true;",
    "if (a) ;",
    "if (a) b = false;",
  ]);
  assert.deepEqual(faults("const a = b ? c : d;"), ["const a = !(b) ? c : d;"]);
});

Deno.test("drawMutants() leaves calls and awaits out, and swaps arguments", () => {
  assert.deepEqual(faults("await f(a, b);"), ["f(a, b);", ";", "await f(b, a);"]);
});

Deno.test("drawMutants() leaves types, imports, texts and errors as they are", () => {
  for (
    const text of [
      'import { a } from "b";',
      "type A = 3 | true;",
      "interface A { readonly b: 3 }",
      "const a: 3 | undefined = b;",
      'const a = "x" + b;',
      "throw new RangeError(`${a + 1}`);",
    ]
  ) {
    assert.deepEqual(faults(text), [], text);
  }
});
