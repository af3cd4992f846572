/**
 * `deno task export`: writes a model for other runtimes. In: a model folder or checkpoint, perhaps
 * an adapter. Out: a folder that transformers.js loads, or one in Hugging Face's layout, and a
 * report of how far it is from the checkpoint.
 *
 * @module
 */

import { exportCommand } from "./export_command.ts";
import { runCommand } from "../process/run_command.ts";

await runCommand(exportCommand);
