/**
 * `deno task inference:lora`: asks a model with a LoRA adapter a question, or chats. In: an adapter
 * folder or checkpoint, and its base model. Out: its reply, thinking and answer apart.
 *
 * @module
 */

import { inferenceLora } from "./inference_command.ts";
import { runCommand } from "../process/run_command.ts";

await runCommand(inferenceLora);
