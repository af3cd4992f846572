/** The library's own `data/` and what `deno task data` leaves there do not mix, for git at least. */

import assert from "node:assert/strict";
import { canRun } from "./support/can_run.ts";
import { startHub } from "./support/hub_stub.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";
import { task } from "./support/run_task.ts";
import { tempFolder } from "./support/temp_folder.ts";

const ROWS = Array.from({ length: 20 }, (_, i) => `{"question":"q${i}","answer":"a${i}"}\n`);

async function git(cwd: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", { args, cwd }).output();
  const decoder = new TextDecoder();
  assert.ok(success, decoder.decode(stderr));
  return decoder.decode(stdout);
}

/** What git would add that is not there yet. */
function untracked(cwd: string): Promise<string> {
  return git(cwd, "ls-files", "--others", "--exclude-standard");
}

Deno.test({
  name: "deno task data, failed or not, leaves nothing that git sees, and git sees all of data/",
  ignore: !await canRun("git", ["--version"]),
  async fn() {
    await using hub = startHub({ "r1_data_example.jsonl": ROWS.join("") });
    await using folder = await tempFolder();
    await git(folder.path, "init", "--quiet");
    await Deno.copyFile(repositoryPath(".gitignore"), `${folder.path}/.gitignore`);
    const sources: string[] = [];
    const copy = async (path: string): Promise<void> => {
      for await (const { name, isDirectory } of Deno.readDir(repositoryPath(path))) {
        if (isDirectory) await copy(`${path}/${name}`);
        if (!name.endsWith(".ts")) continue;
        await Deno.mkdir(`${folder.path}/${path}`, { recursive: true });
        await Deno.copyFile(repositoryPath(`${path}/${name}`), `${folder.path}/${path}/${name}`);
        sources.push(`${path}/${name}`);
      }
    };
    await copy("data");
    assert.ok(sources.length > 50, `${sources.length}`);
    await git(folder.path, "add", "--all");
    const tracked = (await git(folder.path, "ls-files")).trim().split("\n");
    assert.deepEqual(tracked.sort(), [".gitignore", ...sources].sort());

    const { flags, script } = task("data");
    const allowed = flags.map((each) =>
      each.startsWith("--allow-net=") ? `${each},127.0.0.1` : each
    );
    const config = `--config=${repositoryPath("deno.json")}`;
    const run = (): ReturnType<typeof runDeno> =>
      runDeno(
        ["run", "--no-check", "--cached-only", config, ...allowed, repositoryPath(script)],
        folder.path,
        { MODELSCOPE_ENDPOINT: hub.endpoint },
      );
    // The part of a file that came before the hub failed stays, to be gone on with.
    let asked = 0;
    hub.fault = (file) => file === undefined ? undefined : asked++ === 0 ? "cut" : "403";
    assert.equal((await run()).code, 1);
    assert.ok((await Array.fromAsync(Deno.readDir(`${folder.path}/data/downloads`))).length > 0);
    assert.equal(await untracked(folder.path), "");
    hub.fault = () => undefined;
    const { code, stderr } = await run();
    assert.equal(code, 0, stderr);
    assert.ok(await Deno.stat(`${folder.path}/data/train.jsonl`));
    // What a process that was killed leaves, and what a user puts there.
    for (const name of ["train.jsonl.0-1.new", "val.jsonl.0-1.old", "my.json", "mine"]) {
      await folder.write(`data/${name}`, "{}");
    }
    assert.equal(await untracked(folder.path), "");
    assert.equal(await git(folder.path, "diff", "--name-only"), "");
  },
});
