/** Checks token ids before a model reads them. In: ids and a vocabulary. Out: nothing, or an error. */

/**
 * Checks that there are ids and that all are in the vocabulary.
 *
 * @throws {RangeError} naming the first id that is not
 */
export function assertPrompt(ids: ArrayLike<number>, vocabSize: number): void {
  if (ids.length === 0) throw new RangeError("Cannot decode: the prompt has no tokens");
  for (let i = 0; i < ids.length; i++) {
    if (Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < vocabSize) continue;
    throw new RangeError(
      `Cannot decode token ${i} of ${ids.length}: id ${ids[i]} is not in the vocabulary of ` +
        `${vocabSize}; use the tokenizer of this model`,
    );
  }
}
