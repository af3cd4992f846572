/**
 * Whether a request asks for thinking, and whether it wants to see it.
 *
 * In: a request's body. Out: Qwen3's switch. Servers have many names for it: vLLM's
 * `chat_template_kwargs` and `reasoning_effort`, Ollama's `think`, OpenRouter's `reasoning`,
 * `thinking` of Anthropic, DeepSeek and Z.ai. Models here think or do not: of the degrees of effort
 * only `none` is different.
 */

import { isRecord } from "../../internal/json/is_record.ts";
import {
  assertFields,
  REASONING_FIELDS,
  TEMPLATE_FIELDS,
  THINKING_FIELDS,
} from "./request_fields.ts";
import { type Fields, invalid, optional, optionalBoolean } from "./request_values.ts";

/** What a request says of thinking. */
export interface ThinkingRequest {
  /** Qwen3's switch; `undefined` leaves it to the template. */
  readonly enableThinking: boolean | undefined;
  /** Whether thinking is left out of the answer. */
  readonly hideThinking: boolean;
}

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/** Reads all the switches; those that disagree are refused. */
export function parseThinking(body: Fields): ThinkingRequest {
  const template = optional(body, "chat_template_kwargs", isRecord, "an object") ?? {};
  assertFields(template, TEMPLATE_FIELDS, "chat_template_kwargs");
  const reasoning = optional(body, "reasoning", isRecord, "an object") ?? {};
  assertFields(reasoning, REASONING_FIELDS, "reasoning");
  const explicit = agreed([
    ["chat_template_kwargs.enable_thinking", optionalBoolean(template, "enable_thinking")],
    ["chat_template_kwargs.thinking", optionalBoolean(template, "thinking")],
    ["enable_thinking", optionalBoolean(body, "enable_thinking")],
    ["think", think(body)],
    ["thinking", thinkingType(body)],
    ["reasoning.enabled", optionalBoolean(reasoning, "enabled")],
  ]);
  // As in vLLM the switch wins over the effort, which clients send by default.
  const effort = agreed([
    ["reasoning_effort", effortOf(body, "reasoning_effort")],
    ["reasoning.effort", effortOf(reasoning, "effort", "reasoning.effort")],
  ]);
  return {
    enableThinking: explicit ?? effort,
    hideThinking: optionalBoolean(body, "include_reasoning") === false ||
      optionalBoolean(reasoning, "exclude") === true,
  };
}

/** The one value of all that are given. */
function agreed(
  switches: readonly (readonly [string, boolean | undefined])[],
): boolean | undefined {
  const given = switches.filter(([, value]) => value !== undefined);
  const other = given.find(([, value]) => value !== given[0][1]);
  if (!other) return given[0]?.[1];
  throw invalid(`${given[0][0]} and ${other[0]} disagree: leave one out`, other[0]);
}

function effortOf(fields: Fields, name: string, shown = name): boolean | undefined {
  const value = fields[name];
  if (value == null) return undefined;
  if (typeof value === "string" && EFFORTS.includes(value)) return value !== "none";
  throw invalid(`${shown} must be one of ${EFFORTS.join(", ")}`, shown);
}

/** Ollama's: true, false, or an effort. */
function think(body: Fields): boolean | undefined {
  return typeof body.think === "string" ? effortOf(body, "think") : optionalBoolean(body, "think");
}

function thinkingType(body: Fields): boolean | undefined {
  if (typeof body.thinking === "boolean") return body.thinking;
  const thinking = optional(body, "thinking", isRecord, "an object with a type");
  if (thinking === undefined) return undefined;
  assertFields(thinking, THINKING_FIELDS, "thinking");
  if (thinking.type === "enabled" || thinking.type === "disabled") {
    return thinking.type === "enabled";
  }
  throw invalid("thinking.type must be enabled or disabled", "thinking.type");
}
