/** The element types that kernels read and write; all compute in float32. */

/** A type of stored numbers. */
export type ElementType = "float32" | "bfloat16";

/** Its name in the kernels' sources. */
export function elementName(type: ElementType): string {
  return type === "float32" ? "float" : "bf16";
}
