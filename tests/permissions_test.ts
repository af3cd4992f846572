/** Every task runs with exactly the permissions that it declares, and can do nothing else. */

import assert from "node:assert/strict";
import { startDeno } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
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
    if (name !== "quickstart") return;
    // Files of both trackers, as a run has them by default.
    const output = `${folder.path}/output/quickstart`;
    for (
      const [tracker, run] of [["tensorboard", /^quickstart$/], ["swanlog", /^run-\d{8}_/]] as const
    ) {
      const names = await Array.fromAsync(Deno.readDir(`${output}/${tracker}`), ({ name }) => name);
      assert.equal(names.length, 1);
      assert.match(names[0], run);
    }
  });
}

/** What a task may do beyond what all may: read its folders and write into output. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  fetch: ["write into models"],
  data: ["write into data"],
  import: ["write into models"],
  dashboard: ["listen here", "connect to this machine"],
  serve: ["listen here", "connect to this machine"],
};

/** Everything that some task must not do. */
const probe = (outside: string): string =>
  `const tries = {
    "read elsewhere": () => Deno.readTextFile(${JSON.stringify(`${outside}/secret.txt`)}),
    "write elsewhere": () => Deno.writeTextFile(${JSON.stringify(`${outside}/new.txt`)}, ""),
    "write into models": () => Deno.writeTextFile("models/new.txt", ""),
    "write into data": () => Deno.writeTextFile("data/new.txt", ""),
    "read the environment": () => Deno.env.get("HOME"),
    "listen here": () => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close(),
    "listen for all": () => Deno.listen({ hostname: "0.0.0.0", port: 0 }).close(),
    "connect to this machine": () => Deno.connect({ hostname: "127.0.0.1", port: 9 }),
    "connect elsewhere": () => Deno.connect({ hostname: "192.0.2.1", port: 80 }),
    "fetch elsewhere": () => fetch("https://example.com"),
    "run programs": () => new Deno.Command("ls").output(),
  };
  for (const [name, attempt] of Object.entries(tries)) {
    let allowed = true;
    try {
      await attempt();
    } catch (error) {
      allowed = error.name !== "NotCapable";
    }
    console.log(JSON.stringify([name, allowed]));
  }`;

/** Tasks with a configuration of their own, and those of who works on ortune. */
const OTHER = /^(test|bench|example)(:|$)|^(mutate|check|ok)$/;

for (const name of Object.keys(tasks).filter((each) => !OTHER.test(each))) {
  Deno.test(`deno task ${name} may not read or write elsewhere, connect, or start programs`, async () => {
    const { flags } = task(name);
    assert.ok(flags.includes("--no-prompt"));
    await using folder = await quickstartFolder();
    await using outside = await tempFolder();
    await outside.write("secret.txt", "secret");
    const script = await outside.write("probe.ts", probe(outside.path));
    const { stdout, stderr } = await runAs({ flags, script }, folder.path);
    const tried = stdout.split("\n").map((line) => JSON.parse(line));
    assert.equal(tried.length, 11, stderr);
    const allowed = tried.filter(([, allowed]) => allowed).map(([what]) => what);
    assert.deepEqual(allowed, MAY[name] ?? []);
  });
}

Deno.test("deno task serve answers with its own permissions, and says what others need", async () => {
  await using folder = await quickstartFolder();
  const { flags, script } = task("serve");
  const args = ["--model", "models/tiny", "--port", "0"];
  await using child = startDeno(repositoryPath(script), {
    permissions: flags,
    args,
    cwd: folder.path,
  });
  await child.waitFor(/Ctrl-C ends/);
  const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(child.text)!;
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "tiny",
      messages: [{ role: "user", content: "Hi" }],
      max_tokens: 3,
    }),
  });
  assert.equal(response.status, 200, await response.clone().text());
  assert.equal((await response.json()).usage.completion_tokens, 3);
  child.kill("SIGINT");
  assert.equal((await child.ended()).code, 130);
  const open = ["--host", "0.0.0.0", "--api-key", "k"];
  const { code, stderr } = await runAs(task("serve"), folder.path, [...args, ...open]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^error: Cannot listen on 0\.0\.0\.0: the task may use 127\.0\.0\.1 only; run deno run --allow-net=0\.0\.0\.0:0 /,
  );
});

/** Tells now and then what a command that is under way could still do. */
const WATCH = `Deno.unrefTimer(setInterval(async () => {
  const may = [];
  for (const [what, attempt] of Object.entries({
    connect: () => Deno.connect({ hostname: "127.0.0.1", port: 9 }),
    write: () => Deno.writeTextFile("output/probe", ""),
  })) {
    try {
      await attempt();
      may.push(what);
    } catch (error) {
      if (error.name !== "NotCapable") may.push(what);
    }
  }
  console.log("may: " + may.join() + ".");
}, 100));`;

for (const [name, args] of [["serve", "--model models/tiny"], ["dashboard", ""]]) {
  Deno.test(`deno task ${name}, once it listens, can neither connect nor write`, async () => {
    await using folder = await quickstartFolder();
    await Deno.mkdir(`${folder.path}/output`);
    const watch = await folder.write("watch.js", WATCH);
    const { flags, script } = task(name);
    await using child = startDeno(repositoryPath(script), {
      permissions: [...flags, `--preload=${watch}`],
      args: [...args.split(" ").filter((each) => each !== ""), "--port", "0"],
      cwd: folder.path,
    });
    await child.waitFor(/Ctrl-C ends/);
    const before = child.text.length;
    // The first round may have begun before it listened.
    await child.waitFor(new RegExp(`^[^]{${before},}may: \\S*\\.[^]*may: \\S*\\.`));
    assert.match(child.text.slice(before), /may: \S*\.[^]*may: \./);
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(child.text)!;
    const page = await fetch(url);
    assert.equal(page.status, 200);
    await page.body?.cancel();
    child.kill("SIGINT");
    assert.equal((await child.ended()).code, 130);
  });
}

const HINT =
  "the task may not; deno.json says which of models, data and output it may; for others run " +
  "the script with deno run and";

/** A path outside, by the flag that names it, and what is asked of it. */
const OUTSIDE: readonly (readonly [typeof USER_TASKS[number], string, string])[] = [
  ["train", "--train-file ~/data/train.jsonl", 'read "~/data/train.jsonl"'],
  ["train", "--model ~/models/tiny", 'read "~/models/tiny"'],
  ["train", "--output-dir ~/output", 'write "~/output"'],
  ["train", "--output-dir models/output", 'write "models/output"'],
  [
    "train",
    "--resume-from-checkpoint ~/output/checkpoint-1",
    'read "~/output/checkpoint-1/manifest.json"',
  ],
  ["inference", "--model ~/models/tiny", 'read "~/models/tiny"'],
  ["export", "--model ~/models/tiny", 'read "~/models/tiny"'],
  ["export", "--output-dir ~/output", 'write "~/output"'],
  ["graph", "--model ~/models/tiny", 'read "~/models/tiny"'],
  ["graph", "--out ~/graphs", 'write "~/graphs"'],
  ["quickstart", "--output-dir ~/output", 'write "~/output/model"'],
];

for (const [name, flags, need] of OUTSIDE) {
  Deno.test(`deno task ${name} ${flags} fails in one clear line`, async () => {
    await using folder = await quickstartFolder();
    await using other = await quickstartFolder();
    const args = `${GOOD[name]} ${flags.replace("~", other.path)}`.split(" ");
    const { code, stderr } = await runAs(task(name), folder.path, args);
    const line = stderr.replaceAll(other.path, "~");
    const flag = need.split(" ")[0];
    assert.equal(line, `error: Cannot ${need}: ${HINT} --allow-${flag} for them`);
    assert.equal(code, 1);
  });
}

/** The only tasks that may connect: two fetch from the hubs, one pushes, three serve this machine. */
const HUBS = "huggingface.co,*.huggingface.co,*.hf.co,modelscope.cn,*.modelscope.cn";
const NETWORK: Readonly<Record<string, string>> = {
  data: HUBS,
  fetch: HUBS,
  // The store of large files in the plain protocol, beside the hub's own hosts.
  push: "huggingface.co,*.huggingface.co,*.hf.co,hf-hub-lfs-us-east-1.s3-accelerate.amazonaws.com",
  dashboard: "127.0.0.1",
  serve: "127.0.0.1",
  "example:browser": "127.0.0.1",
};

Deno.test("no task that users run may use everything, and only six may use a network", () => {
  for (const [name, command] of Object.entries(tasks)) {
    if (/^(test|bench)(:|$)|^mutate$/.test(name)) continue;
    assert.doesNotMatch(command, /--allow-all|\s-A\b|--allow-import|--allow-run/, name);
    const net = [...command.matchAll(/--allow-net(\S*)/g)].map(([, hosts]) => hosts);
    assert.deepEqual(net, name in NETWORK ? [`=${NETWORK[name]}`] : [], name);
  }
});
