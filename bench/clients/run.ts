/**
 * Runs every client on what ortune writes and serves, and prints a table:
 * `deno task bench:clients [--folder DIR] [--only NAMES] [--docs] [--damaged]`.
 *
 * Out: a line a client with its version and what was measured; exit code 1 where one fails. `--docs` puts the
 * table into docs/clients.md. `--damaged` gives the clients wrong values to compare with and prints how many
 * checks saw it: one that never does checks nothing.
 */

import { parseArgs } from "node:util";
import { startServer } from "../server_process.ts";
import { makeArtefacts } from "./artefacts.ts";
import { type Client, CLIENTS } from "./clients.ts";
import { damagedFacts } from "./damaged_facts.ts";
import {
  type EnvironmentName,
  type Interpreter,
  openEnvironment,
  openSources,
} from "./environments.ts";
import { makeFacts } from "./facts.ts";
import { documentTable, type Line } from "./table.ts";

/** A client that takes longer hangs. */
const TIMEOUT_MS = 600_000;
const MODEL = "base";

const { values } = parseArgs({
  options: {
    folder: { type: "string", default: "/tmp/ortune-clients" },
    only: { type: "string" },
    docs: { type: "boolean", default: false },
    damaged: { type: "boolean", default: false },
  },
});
const { folder } = values;
const only = values.only?.split(",");
const isNamed = ({ name, script }: Client, by: string): boolean => by === name || by === script;
const unknown = only?.filter((by) => !CLIENTS.some((client) => isNamed(client, by))) ?? [];
if (unknown.length > 0) {
  const names = CLIENTS.map(({ name }) => name).join("; ");
  throw new RangeError(
    `Cannot run ${unknown.join(", ")}: there is no such client; there are ${names}`,
  );
}
const chosen = CLIENTS.filter((client) => !only || only.some((by) => isNamed(client, by)));
await Deno.mkdir(folder, { recursive: true });
const artefacts = await makeArtefacts(`${folder}/artefacts`);
const facts = await makeFacts(artefacts);
const server = await startServer(artefacts.checkpoint, []);
const path = `${folder}/${values.damaged ? "damaged" : "facts"}.json`;
await Deno.writeTextFile(
  path,
  JSON.stringify({
    artefacts,
    facts: values.damaged ? damagedFacts(facts) : facts,
    server: { url: server.url, model: MODEL },
  }),
);

const opened = new Map<EnvironmentName, Promise<Interpreter>>();
const lines: Line[] = [];
const sources = await openSources(folder);
try {
  for (const client of chosen) {
    const line = await ask(client);
    lines.push(line);
    const checks = line.checks.map(({ what, passed, limit, measured }) =>
      `${passed ? limit ? "NOT " : "" : "FAILED "}${what} ${measured}`
    );
    const head = `${line.outcome.padEnd(8)} ${client.name} ${line.version}`;
    console.log(`${head}: ${checks.join("; ")}`);
  }
} finally {
  await server.interrupt();
}

const count = (outcome: Line["outcome"]): number =>
  lines.filter((line) => line.outcome === outcome).length;
console.log(`\n${count("works")} work, ${count("fails")} fail, ${count("missing")} missing`);
if (values.damaged) {
  for (const { client, checks } of lines) {
    const compared = checks.filter(({ limit }) => !limit);
    const saw = compared.filter(({ passed }) => !passed).length;
    console.log(`${client.name}: ${saw} of ${compared.length} checks saw the damage`);
  }
} else if (values.docs) await documentTable(lines);
if (!values.damaged && count("fails") > 0) Deno.exitCode = 1;

async function ask(client: Client): Promise<Line> {
  const { environment, script } = client;
  let interpreter: Interpreter;
  try {
    if (!opened.has(environment)) opened.set(environment, openEnvironment(folder, environment));
    interpreter = await opened.get(environment)!;
  } catch (cause) {
    return { client, version: "", outcome: "missing", checks: [failure("installation", cause)] };
  }
  try {
    const { stdout, stderr, code } = await new Deno.Command(interpreter.program, {
      args: [interpreter.script(script), path],
      cwd: `${folder}/artefacts`,
      env: { ORTUNE_SOURCES: sources, NO_COLOR: "1" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
    const answer = text(stdout).split("\n").at(-1)!;
    if (code !== 0 || !answer.startsWith("{")) {
      const why = text(stderr).split("\n").at(-1)!;
      return { client, version: "", outcome: "fails", checks: [failure("script", why)] };
    }
    const { version, checks } = JSON.parse(answer);
    const works = checks.some((each: { limit?: true }) => !each.limit) &&
      checks.every((each: { passed: boolean }) => each.passed);
    return { client, version, checks, outcome: works ? "works" : "fails" };
  } catch (cause) {
    return { client, version: "", outcome: "fails", checks: [failure("script", cause)] };
  }
}

function failure(what: string, cause: unknown): Line["checks"][number] {
  const measured = cause instanceof Error ? cause.message : String(cause);
  return { what, passed: false, measured: measured.slice(0, 300) };
}
