/** Node and Bun: tokenizer, examples, weights, graphs and adapter settings of the library itself. */

import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { artefacts, check, done, facts } from "./client.ts";

rmSync(`${artefacts.library}/out`, { recursive: true });
mkdirSync(`${artefacts.library}/out`);
const program = `${artefacts.clone}/tests/support/without_native.ts`;
const flags = process.versions.bun ? ["--no-install"] : ["--no-warnings"];
const said = execFileSync(process.execPath, [...flags, program, artefacts.library], {
  encoding: "utf8",
  cwd: artefacts.clone,
});
const got = JSON.parse(said);
const names = Object.keys(facts.library);
const same = names.filter((name) =>
  JSON.stringify(got[name]) === JSON.stringify(facts.library[name])
);
check("facts", same.length === names.length, `${same.length} of ${names.length}`);
done(process.versions.bun ?? process.versions.node);
