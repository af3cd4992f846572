/** The first command that most people run knows every npm package that the others import. */

import assert from "node:assert/strict";
import { repositoryPath, runDeno } from "./support/run_script.ts";

/** Names of the npm packages that a module and what it imports are made of. */
async function packagesOf(module: string): Promise<Set<string>> {
  const { code, stdout, stderr } = await runDeno(
    ["info", "--quiet", "--json", module],
    repositoryPath("."),
  );
  assert.equal(code, 0, stderr);
  const { modules } = JSON.parse(stdout) as {
    readonly modules: readonly {
      readonly dependencies?: readonly { readonly specifier: string }[];
    }[];
  };
  const { imports } = JSON.parse(await Deno.readTextFile(repositoryPath("deno.json")));
  const specifiers = modules.flatMap(({ dependencies = [] }) => dependencies)
    .map(({ specifier }) => specifier);
  return new Set(
    Object.keys(imports).filter((name) =>
      specifiers.some((specifier) => specifier === name || specifier.startsWith(`${name}/`))
    ),
  );
}

Deno.test("the quickstart's modules name every npm package that commands import", async () => {
  const known = await packagesOf("examples/quickstart/main.ts");
  const commands = await Array.fromAsync(Deno.readDir(repositoryPath("cli/commands")));
  const needed = await Promise.all(
    commands.map(({ name }) => packagesOf(`cli/commands/${name}`)),
  );
  const all = needed.reduce((all, one) => all.union(one), new Set<string>());
  assert.ok(all.has("js-yaml") && all.has("onnxruntime-node"));
  assert.deepEqual([...all.difference(known)], []);
});
