/** Tasks that work on what is here open no socket to a network: not by itself, and not by what Deno does beside it. */

import assert from "node:assert/strict";
import { canRun } from "./support/can_run.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { task, tasks } from "./support/run_task.ts";

const canTrace = await canRun("strace", [
  ...["-f", "-qq", "--seccomp-bpf", "-e", "trace=socket", "true"],
]);

const TRAINING = "--model models/tiny --train-file data/train.jsonl --max-length 512 " +
  `--max-steps 6 --threads ${THREADS}`;

/** Tasks that work on what is here, each for over a second: what Deno does beside it comes later. */
const LOCAL: Readonly<Record<string, string>> = {
  train: `${TRAINING} --output-dir output/full`,
  "train:lora": `${TRAINING} --output-dir output/lora`,
  inference: "--model models/tiny --question Hi --max-new-tokens 400",
  export: "--model models/tiny --output-dir output/export --parity-tokens 8",
  quickstart: "--num-train-epochs 1",
};

for (const [name, flags] of Object.entries(LOCAL)) {
  Deno.test({
    name: `deno task ${name} opens no socket to a network${canTrace ? "" : " (needs strace)"}`,
    ignore: !canTrace,
    fn: async () => {
      await using folder = await quickstartFolder();
      const { script } = task(name);
      const command = tasks[name].replace(
        script,
        `--quiet --no-check --cached-only --config=${repositoryPath("deno.json")} ` +
          `${repositoryPath(script)} ${flags}`,
      );
      const sockets = `${folder.path}/sockets.txt`;
      const { PATH, HOME, DENO_DIR } = Deno.env.toObject();
      const { code, stderr } = await new Deno.Command("strace", {
        args: [
          "-f",
          "-qq",
          "--seccomp-bpf",
          "-e",
          "trace=socket",
          "-o",
          sockets,
          "sh",
          "-c",
          command,
        ],
        cwd: folder.path,
        // What the process of the tests is told must not be what keeps the task off the network.
        clearEnv: true,
        env: { PATH, HOME, ...DENO_DIR === undefined ? {} : { DENO_DIR }, NO_COLOR: "1" },
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      const opened = (await Deno.readTextFile(sockets)).split("\n");
      assert.deepEqual(opened.filter((each) => /AF_INET|AF_PACKET/.test(each)), []);
    },
  });
}

Deno.test("every task tells Deno not to look for a newer one", () => {
  for (const [name, command] of Object.entries(tasks)) {
    const [before] = command.split(/\bdeno /);
    assert.match(before, /\bDENO_NO_UPDATE_CHECK=1 /, name);
    const several = command.includes("&&");
    assert.equal(before.startsWith("export "), several, `${name}: for its first command only`);
  }
});
