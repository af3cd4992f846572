/**
 * What a pipeline of transformers.js answers. In: the pipeline and questions. Out: the replies to each
 * question alone, and those to all in one batch, which the pipeline pads on the left.
 */

/** The messages of a chat. */
export type Messages = readonly { readonly role: string; readonly content: string }[];

/** A pipeline for `text-generation`. */
export type Generate = (
  chats: Messages | readonly Messages[],
  options: Record<string, unknown>,
) => Promise<unknown>;

/** The texts of replies. */
export interface PipelineReplies {
  readonly alone: readonly string[];
  readonly batch: readonly string[];
}

/** Asks. Closes over nothing, so that its source is a program for a browser's page as well. */
export async function pipelineReplies(
  generate: Generate,
  questions: readonly string[],
  newTokens: number,
): Promise<PipelineReplies> {
  // Without an end: the client goes on with rows that have ended until the last has.
  const options = { max_new_tokens: newTokens, do_sample: false, eos_token_id: [] };
  const chats = questions.map((content): Messages => [{ role: "user", content }]);
  const answerOf = (said: unknown): string =>
    (said as readonly { readonly generated_text: Messages }[])[0].generated_text.at(-1)!.content;
  const alone: string[] = [];
  for (const chat of chats) alone.push(answerOf(await generate(chat, options)));
  const batch = (await generate(chats, options) as unknown[]).map(answerOf);
  return { alone, batch };
}
