/**
 * One message of a chat, in the words of Hugging Face and of the OpenAI API.
 *
 * Types only: a role, a content and, of an assistant, the thinking before it.
 *
 * @module
 */

/** Who speaks. */
export type Role = "system" | "user" | "assistant";

/** One message of a chat. */
export interface Message {
  /** Who speaks. */
  readonly role: Role;
  /** What is said, without the thinking. */
  readonly content: string;
  /** The thinking that led to the content, without tags; of an assistant only. */
  readonly reasoning_content?: string;
  /** Who of several speaks; few chat templates write it. */
  readonly name?: string;
  /**
   * Whether training learns it; of an assistant only.
   * @default {true}
   */
  readonly learn?: boolean;
}
