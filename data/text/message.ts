/**
 * One message of a chat, in the words of Hugging Face and of the OpenAI API.
 *
 * Types only: a role, a content and, of an assistant, the thinking before it and the tools it calls.
 *
 * @module
 */

import type { PythonJson } from "../../internal/json/python_json.ts";

/** Who speaks; a tool answers a call. */
export type Role = "system" | "user" | "assistant" | "tool";

/** A tool that an assistant has called. */
export interface ToolCall {
  /** By which the tool's answer names it; few chat templates write it. */
  readonly id?: string;
  /** Tools are functions. */
  readonly type: "function";
  /** What was called, with what. */
  readonly function: {
    /** The function's name. */
    readonly name: string;
    /** A JSON object, which templates write as JSON; a number may be a `PythonNumber`. */
    readonly arguments: unknown;
  };
}

/** One message of a chat. */
export interface Message {
  /** Who speaks. */
  readonly role: Role;
  /** What is said, without the thinking. */
  readonly content: string;
  /** The thinking that led to the content, without tags; of an assistant only. */
  readonly reasoning_content?: string;
  /** The tools that it calls, after the content; of an assistant only. */
  readonly tool_calls?: readonly ToolCall[];
  /** Which call is answered; of a tool only. */
  readonly tool_call_id?: string;
  /** Who of several speaks; few chat templates write it. */
  readonly name?: string;
  /**
   * Whether training learns it, where the row says so; of an assistant only.
   * @default {what `teach` of the examples says}
   */
  readonly learn?: boolean;
}

/**
 * A tool that the assistant may call, as OpenAI's `tools` describes it: the JSON object `{type:
 * "function", function: {name, description, parameters}}`, its objects as Maps, which keep the order
 * of their keys.
 */
export type Tool = PythonJson;
