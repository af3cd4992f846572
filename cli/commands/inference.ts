/**
 * `deno task inference`: asks a model a question, or chats. In: a model folder or a checkpoint.
 * Out: its reply, thinking and answer apart.
 *
 * @module
 */

import { inference } from "./inference_command.ts";
import { runCommand } from "../process/run_command.ts";

await runCommand(inference);
