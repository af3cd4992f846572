/** Lets Node resolve what deno.json's imports name to the packages that lie in `node_modules` of a folder. */

import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { env } from "node:process";

const config = new URL("../../deno.json", import.meta.url);
const names = Object.keys(JSON.parse(readFileSync(config, "utf8")).imports);
const parentURL = new URL("program.js", env.ORTUNE_TEST_PACKAGES).href;

registerHooks({
  resolve(specifier, context, next) {
    const isNamed = names.some((name) => specifier === name || specifier.startsWith(`${name}/`));
    return next(specifier, isNamed ? { ...context, parentURL } : context);
  },
});
