/**
 * Models and version as Ollama tells them.
 *
 * In: the service's models. Out: the answers of `/api/tags`, `/api/ps`, `/api/show` and
 * `/api/version`.
 */

import { createHash } from "node:crypto";
import { isRecord } from "../../../internal/json/is_record.ts";
import { VERSION } from "../../../internal/version.ts";
import { ApiError } from "../api_error.ts";
import type { ChatService, ServedModel } from "../chat_service.ts";
import { assertFields } from "../request_fields.ts";
import { invalid } from "../request_values.ts";
import { SHOW_FIELDS } from "./ollama_fields.ts";

/** Whose fields are known here: clients ask for a version that has what they use. */
const OLLAMA_VERSION = "0.12.11";

/** The answer of `/api/version`. */
export function ollamaVersion(): Record<string, unknown> {
  return { version: OLLAMA_VERSION, server: `ortune ${VERSION}` };
}

/**
 * A model by its name, to which Ollama's clients add `:latest`.
 *
 * @throws {ApiError} 404
 */
export function findOllamaModel(service: ChatService, name: string): ServedModel {
  const bare = name.replace(/:latest$/, "");
  return service.models.find(({ id }) => id === name) ?? service.model(bare);
}

/** The answer of `/api/tags` and, since all models are loaded, of `/api/ps`. */
export function ollamaModels(
  { models, window }: ChatService,
  created: number,
): Record<string, unknown> {
  const modified_at = new Date(created * 1000).toISOString();
  return {
    models: models.map((model) => ({
      name: model.id,
      model: model.id,
      modified_at,
      // What the weights take is not counted here; clients want a number and 64 digits.
      size: 0,
      digest: createHash("sha256").update(model.id).digest("hex"),
      details: details(model),
      context_length: window,
    })),
  };
}

/**
 * The answer of `/api/show`.
 *
 * @throws {ApiError} 400 or 404
 */
export function ollamaShow(
  body: unknown,
  service: ChatService,
  created: number,
): Record<string, unknown> {
  if (!isRecord(body)) throw invalid("The body must be a JSON object");
  assertFields(body, SHOW_FIELDS);
  const name = body.model ?? body.name;
  if (typeof name !== "string") {
    throw new ApiError(400, "model is required: one of GET /api/tags", { param: "model" });
  }
  const model = findOllamaModel(service, name);
  const template = service.tokenizerOf(model).chatTemplate ?? "";
  return {
    template,
    system: model.system ?? "",
    parameters: "",
    details: details(model),
    model_info: { "general.architecture": "ortune", "ortune.context_length": service.window },
    capabilities: ["completion", ...(template.includes("enable_thinking") ? ["thinking"] : [])],
    modified_at: new Date(created * 1000).toISOString(),
  };
}

function details({ parent = "" }: ServedModel): Record<string, unknown> {
  return {
    parent_model: parent,
    format: "safetensors",
    family: "ortune",
    families: ["ortune"],
    parameter_size: "",
    quantization_level: "",
  };
}
