import assert from "node:assert/strict";
import { drawMutants } from "./draw_mutants.ts";
import { withMutant } from "./mutant.ts";

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
    "if (a) {}",
    "if (a) b = false;",
  ]);
  assert.deepEqual(faults("const a = b ? c : d;"), ["const a = !(b) ? c : d;"]);
});

Deno.test("drawMutants() leaves calls and awaits out, and swaps arguments", () => {
  assert.deepEqual(faults("await f(a, b);"), ["f(a, b);", "{}", "await f(b, a);"]);
  // The order of these says nothing.
  assert.deepEqual(faults("const a = Math.max(b, ...c);"), []);
  assert.deepEqual(faults("const a = Math.pow(b, c);"), ["const a = Math.pow(c, b);"]);
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

Deno.test("drawMutants() takes a kernel's text for C++, and other texts as they are", () => {
  const kernel = (body: string): string => `const A = String.raw\`\n__device__ ${body}\n\`;`;
  assert.deepEqual(faults(kernel("f() {\n  a[i] = b;\n}")), [kernel("f() {\n  ;\n}")]);
  assert.deepEqual(faults("const A = String.raw`\nf() {\n  a[i] = b;\n}\n`;"), []);
});
