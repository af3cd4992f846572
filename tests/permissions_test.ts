/** Every task runs with exactly the permissions that it declares, and can do nothing else. */

import assert from "node:assert/strict";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { runAs, task, tasks } from "./support/run_task.ts";
import { tempFolder } from "./support/temp_folder.ts";

/** The tasks that users run on their own files. */
const USER_TASKS = ["train", "train:lora", "inference", "export", "graph", "quickstart"] as const;

const GOOD: Readonly<Record<typeof USER_TASKS[number], string>> = {
  train: "--model models/tiny --train-file data/train.jsonl --max-length 512 --max-steps 1",
  inference: "--model models/tiny --question Hi --max-new-tokens 3",
  export: "--model models/tiny --output-dir output/export --parity-tokens 2",
  "train:lora":
    "--model models/tiny --train-file data/train.jsonl --output-dir output/lora --max-length 512 --max-steps 1",
  graph: "--model models/tiny --out output/graphs",
  quickstart: "--num-train-epochs 0.3",
};

for (const name of USER_TASKS) {
  Deno.test(`deno task ${name} runs inside its folders with its own permissions`, async () => {
    await using folder = await quickstartFolder();
    const result = await runAs(task(name), folder.path, GOOD[name].split(" "));
    assert.equal(result.code, 0, result.stderr);
    assert.doesNotMatch(result.stderr, /error|warning/i);
  });

  Deno.test(`deno task ${name} may not read or write elsewhere, connect, or start programs`, async () => {
    const { flags } = task(name);
    for (const flag of flags) {
      assert.match(
        flag,
        /^--(no-prompt|allow-ffi|allow-env=[A-Z_,]+|allow-sys=systemMemoryInfo|allow-read=[a-z,]+|allow-write=output)$/,
      );
    }
    assert.ok(flags.includes("--no-prompt"));
    await using folder = await quickstartFolder();
    await using outside = await tempFolder();
    const secret = await outside.write("secret.txt", "secret");
    const script = await outside.write(
      "probe.ts",
      `const tries = {
        read: () => Deno.readTextFile(${JSON.stringify(secret)}),
        write: () => Deno.writeTextFile(${JSON.stringify(`${outside.path}/new.txt`)}, ""),
        "write into models": () => Deno.writeTextFile("models/new.txt", ""),
        "write into data": () => Deno.writeTextFile("data/new.txt", ""),
        environment: () => Deno.env.get("HOME"),
        connect: () => Deno.connect({ hostname: "127.0.0.1", port: 12345 }),
        fetch: () => fetch("http://127.0.0.1:12345"),
        listen: () => Deno.listen({ port: 0 }),
        run: () => new Deno.Command("ls").output(),
      };
      for (const [name, attempt] of Object.entries(tries)) {
        try {
          await attempt();
          console.log(name, "is allowed");
        } catch (error) {
          console.log(name, error.name);
        }
      }`,
    );
    const { stdout, stderr } = await runAs({ flags, script }, folder.path);
    assert.deepEqual(stdout.split("\n"), [
      "read NotCapable",
      "write NotCapable",
      "write into models NotCapable",
      "write into data NotCapable",
      "environment NotCapable",
      "connect NotCapable",
      "fetch NotCapable",
      "listen NotCapable",
      "run NotCapable",
    ], stderr);
  });
}

const HINT = "The tasks in deno.json allow the folders models, data and output; for others run " +
  "the script with deno run and --allow-read/--allow-write for them";

/** A path outside, by the flag that names it, and what is asked of it. */
const OUTSIDE: readonly (readonly [typeof USER_TASKS[number], string, string])[] = [
  ["train", "--train-file ~/data/train.jsonl", 'read access to "~/data/train.jsonl"'],
  ["train", "--model ~/models/tiny", 'read access to "~/models/tiny/config.json"'],
  ["train", "--output-dir ~/output", 'write access to "~/output"'],
  ["train", "--output-dir models/output", 'write access to "models/output"'],
  [
    "train",
    "--resume-from-checkpoint ~/output/checkpoint-1",
    'read access to "~/output/checkpoint-1/manifest.json"',
  ],
  ["inference", "--model ~/models/tiny", 'read access to "~/models/tiny"'],
  ["export", "--model ~/models/tiny", 'read access to "~/models/tiny"'],
  ["export", "--output-dir ~/output", 'write access to "~/output"'],
  ["graph", "--model ~/models/tiny", 'read access to "~/models/tiny/config.json"'],
  ["graph", "--out ~/graphs", 'write access to "~/graphs"'],
  ["quickstart", "--output-dir ~/output", 'write access to "~/output/model"'],
];

for (const [name, flags, need] of OUTSIDE) {
  Deno.test(`deno task ${name} ${flags} fails in one clear line`, async () => {
    await using folder = await quickstartFolder();
    await using other = await quickstartFolder();
    const args = `${GOOD[name]} ${flags.replace("~", other.path)}`.split(" ");
    const { code, stderr } = await runAs(task(name), folder.path, args);
    const line = stderr.replaceAll(other.path, "~");
    const flag = need.split(" ")[0];
    assert.equal(
      line,
      `error: Requires ${need}, run again with the --allow-${flag} flag. ${HINT}`,
    );
    assert.equal(code, 1);
  });
}

/** The only tasks that may connect: two fetch from the hubs, two serve this machine. */
const HUBS = "huggingface.co,*.huggingface.co,*.hf.co,modelscope.cn,*.modelscope.cn";
const NETWORK: Readonly<Record<string, string>> = {
  data: HUBS,
  fetch: HUBS,
  dashboard: "127.0.0.1",
  "example:browser": "127.0.0.1",
};

Deno.test("no task that users run may use everything, and only four may use a network", () => {
  for (const [name, command] of Object.entries(tasks)) {
    if (["test", "test:clients", "test:doc", "bench"].includes(name)) continue;
    assert.doesNotMatch(command, /--allow-all|\s-A\b|--allow-import|--allow-run/, name);
    const net = [...command.matchAll(/--allow-net(\S*)/g)].map(([, hosts]) => hosts);
    assert.deepEqual(net, name in NETWORK ? [`=${NETWORK[name]}`] : [], name);
  }
});
