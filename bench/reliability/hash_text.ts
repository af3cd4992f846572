/** A number for a name. In: a text. Out: 32 bits, the same on any machine (FNV-1a). */

/** Hashes a text. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
