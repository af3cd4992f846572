/** Links out of a folder, pipes and devices in it are refused by name and at once, by every command. */

import assert from "node:assert/strict";
import { exportClientFiles } from "../infer/export/client_files.ts";
import { readConfig } from "../model/weights/open_model.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { runTask } from "./support/run_task.ts";
import type { TempFolder } from "./support/temp_folder.ts";

const MODEL = "models/tiny";
const SHORT = [
  ...["--model", MODEL, "--train-file", "data/train.jsonl", "--output-dir", "output/run"],
  ...["--max-steps", "1", "--max-length", "256", "--report-to", "none", "--threads", "2"],
];
const ASK = ["--model", MODEL, "--question", "Hi", "--max-new-tokens", "2"];
/** Milliseconds for a start of Deno and a refusal, on a busy machine. */
const AT_ONCE = 20_000;

async function replace(folder: TempFolder, name: string, target: string | "pipe"): Promise<void> {
  const path = `${folder.path}/${MODEL}/${name}`;
  await Deno.remove(path).catch(() => {});
  if (target === "pipe") await new Deno.Command("mkfifo", { args: [path] }).output();
  else await Deno.symlink(target, path);
}

const problems: [string, string, RegExp][] = [
  [
    "chat_template.jinja",
    "/etc/passwd",
    /chat_template\.jinja: it is a link to a file outside of its folder/,
  ],
  ["config.json", "/dev/zero", /config\.json: it is a link to a file outside of its folder/],
  [
    "generation_config.json",
    "/dev/zero",
    /generation_config\.json.*is a link to a file outside of its folder/,
  ],
  ["tokenizer.json", "/dev/zero", /tokenizer\.json: it is a link to a file outside of its folder/],
  ["config.json", "pipe", /config\.json: it is not a regular file/],
  ["tokenizer.json", "pipe", /tokenizer\.json: it is not a regular file/],
  ["model.safetensors", "pipe", /model\.safetensors.* is not a regular file/],
  [
    "model.safetensors",
    "/dev/zero",
    /model\.safetensors.* is a link to a file outside of its folder/,
  ],
];
for (const [name, target, message] of problems) {
  Deno.test(`${name} that is ${target === "pipe" ? "a pipe" : `a link to ${target}`} is refused`, async () => {
    await using folder = await quickstartFolder();
    await replace(folder, name, target);
    const began = performance.now();
    const runs = { inference: ASK, train: SHORT };
    for (const [task, args] of Object.entries(runs)) {
      const { code, stderr } = await runTask(task, folder.path, args);
      assert.equal(code, 1, `${task}: ${stderr}`);
      assert.match(stderr, message, task);
    }
    assert.ok(performance.now() - began < AT_ONCE);
  });
}

Deno.test("a companion that a link inside the folder names goes into the checkpoint, which then answers", async () => {
  await using folder = await quickstartFolder();
  const model = `${folder.path}/${MODEL}`;
  await Deno.rename(`${model}/tokenizer.json`, `${model}/shared.json`);
  await Deno.symlink("shared.json", `${model}/tokenizer.json`);
  const trained = await runTask("train", folder.path, SHORT);
  assert.equal(trained.code, 0, trained.stderr);
  const checkpoint = `${folder.path}/output/run/checkpoint-1`;
  assert.ok((await Deno.lstat(`${checkpoint}/tokenizer.json`)).isFile);
  const asked = await runTask("inference", folder.path, [
    ...["--model", "output/run", "--question", "Hi", "--max-new-tokens", "2"],
  ]);
  assert.equal(asked.code, 0, asked.stderr);
  // A base whose tokenizer lies elsewhere is refused before anything is trained.
  await Deno.rename(`${model}/shared.json`, `${folder.path}/models/shared.json`);
  await Deno.remove(`${model}/tokenizer.json`);
  await Deno.symlink("../shared.json", `${model}/tokenizer.json`);
  const refused = await runTask("train", folder.path, [...SHORT, "--output-dir", "output/other"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /tokenizer\.json: it is a link to a file outside of its folder/);
});

Deno.test("an export holds no text from outside of the model's folder", async () => {
  await using folder = await quickstartFolder();
  await folder.write("secret", "no");
  for (const name of ["chat_template.jinja", "chat_settings.json", "tokenizer.json"]) {
    const path = `${folder.path}/${MODEL}/${name}`;
    const before = await Deno.readFile(path).catch(() => undefined);
    await replace(folder, name, "../../secret");
    const config = await readConfig(`${folder.path}/${MODEL}`);
    const directory = `${folder.path}/${name}-export`;
    await Deno.mkdir(directory);
    await assert.rejects(
      exportClientFiles(directory, { model: `${folder.path}/${MODEL}`, config, exported: [] }),
      { name: "RangeError", message: /: it is a link to a file outside of its folder; copy it/ },
      name,
    );
    await Deno.remove(path);
    if (before) await Deno.writeFile(path, before);
  }
});

Deno.test("a template that the user names may be a link to anywhere", async () => {
  await using folder = await quickstartFolder();
  await Deno.mkdir(`${folder.path}/data/elsewhere`);
  await folder.write("data/elsewhere/chat.jinja", "{{ messages[0]['content'] }}");
  await Deno.symlink("elsewhere/chat.jinja", `${folder.path}/data/mine.jinja`);
  const asked = await runTask("inference", folder.path, [
    ...ASK,
    "--chat-template",
    "data/mine.jinja",
  ]);
  assert.equal(asked.code, 0, asked.stderr);
});

Deno.test("push does not read what a run's link leads to elsewhere", async () => {
  await using folder = await quickstartFolder();
  const trained = await runTask("train", folder.path, SHORT);
  assert.equal(trained.code, 0, trained.stderr);
  await Deno.remove(`${folder.path}/output/run/loss.svg`);
  await folder.write("secret", "no");
  await Deno.symlink("../../secret", `${folder.path}/output/run/loss.svg`);
  const { code, stderr } = await runTask("push", folder.path, [
    ...["--model", "output/run", "--repo", "a/b", "--dry-run"],
  ]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /Cannot push output\/run\/loss\.svg: it is a link to a file outside of its folder/,
  );
});

Deno.test("rows of one's own are trained without a system prompt unless one is given", async () => {
  await using folder = await quickstartFolder();
  const trained = await runTask("train", folder.path, SHORT);
  assert.equal(trained.code, 0, trained.stderr);
  assert.ok(!trained.stderr.includes("system prompt of"));
  const settings = JSON.parse(
    await Deno.readTextFile(`${folder.path}/output/run/checkpoint-1/chat_settings.json`),
  );
  assert.equal(settings.system, "");
});
