import assert from "node:assert/strict";
import { drawKernelMutants } from "./draw_kernel_mutants.ts";
import { withMutant } from "./mutant.ts";

/** The texts that faults make of one. */
function faults(text: string): string[] {
  return drawKernelMutants(text).map((mutant) => withMutant(text, mutant));
}

Deno.test("drawKernelMutants() turns operators, constants and conditions round", () => {
  assert.deepEqual(faults("if (at < 8 && f(x)) return x * 0.5f;"), [
    "if (!(at < 8 && f(x))) return x * 0.5f;",
    "if (at <= 8 && f(x)) return x * 0.5f;",
    "if (at < 9 && f(x)) return x * 0.5f;",
    "if (at < 8 || f(x)) return x * 0.5f;",
    "if (at < 8 && f(x)) return x / 0.5f;",
    "if (at < 8 && f(x)) return x * 1.5f;",
  ]);
});

Deno.test("drawKernelMutants() leaves statements out, but no declarations", () => {
  assert.deepEqual(faults("{\n  float a = b;\n  a += b;\n  __syncthreads();\n}\n"), [
    "{\n  float a = b;\n  ;\n  __syncthreads();\n}\n",
    "{\n  float a = b;\n  a = b;\n  __syncthreads();\n}\n",
    "{\n  float a = b;\n  a += b;\n  ;\n}\n",
  ]);
});

Deno.test("drawKernelMutants() leaves names, pointers, comments and what only NVRTC compiles", () => {
  for (
    const text of [
      "u32* __restrict__ a; const bf16* b, float4 c, float (&d)[N];",
      "template <int ROWS>\n__global__ void __launch_bounds__(256)",
      "// a < 3 && b + 1\n",
      "#pragma unroll 8\n",
      "#ifndef HOST_CUDA\nf(a + 1);\n#endif\n",
      "0x85ebca6bu",
    ]
  ) {
    assert.deepEqual(faults(text), [], text);
  }
});
