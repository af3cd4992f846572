/**
 * `deno task serve`: answers chats over HTTP as the OpenAI API does, and on a page. In: a model
 * folder or a checkpoint, and perhaps an adapter on it. Out: a server on this machine.
 *
 * @module
 */

import { runCommand } from "../process/run_command.ts";
import { serve } from "./serve_command.ts";

await runCommand(serve);
