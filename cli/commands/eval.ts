/**
 * `deno task eval`: measures what models answer. In: models, perhaps adapters, and a file of rows. Out: a
 * table, scores as JSON and a page, and the replies, from which the same command goes on.
 *
 * @module
 */

import { evalCommand } from "./eval_command.ts";
import { runCommand } from "../process/run_command.ts";

await runCommand(evalCommand);
