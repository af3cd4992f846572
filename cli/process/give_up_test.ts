import assert from "node:assert/strict";
import { repositoryPath, runScript } from "../../tests/support/run_script.ts";

const SCRIPT = `
import { giveUp } from "${repositoryPath("cli/process/give_up.ts")}";
import { listen } from "${repositoryPath("infer/serve/listen.ts")}";
const [folder] = Deno.args;
const tell = async (what, attempt) => {
  try {
    await attempt();
    console.log(what, "done");
  } catch (error) {
    console.log(what, error.name);
  }
};
const server = await listen(() => Promise.resolve(new Response("hello")), {
  hostname: "127.0.0.1", port: 0, onError: console.error,
});
const page = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("hi"));
await tell("write", () => Deno.writeTextFile(folder + "/before", ""));
await giveUp("net", "write");
console.log(JSON.stringify([server.port, page.addr.port]));
await tell("connect", () => Deno.connect({ hostname: "127.0.0.1", port: server.port }));
await tell("fetch", () => fetch("http://127.0.0.1:" + server.port));
await tell("listen", () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
await tell("write", () => Deno.writeTextFile(folder + "/after", ""));
await new Promise((resolve) => Deno.stdin.readable.pipeTo(new WritableStream()).then(resolve));
Deno.exit();
`;

Deno.test("a server that gave up the network answers, and cannot connect, listen again or write", async () => {
  const folder = await Deno.makeTempDir();
  const script = `${folder}/server.ts`;
  await Deno.writeTextFile(script, SCRIPT);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-check", "--cached-only"],
      ...["--allow-net=127.0.0.1", `--allow-write=${folder}`],
      ...[`--config=${repositoryPath("deno.json")}`, script, folder],
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("write NotCapable")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(text);
    text += value;
  }
  const lines = text.trim().split("\n");
  assert.deepEqual(lines.filter((_, i) => i !== 1), [
    "write done",
    "connect NotCapable",
    "fetch NotCapable",
    "listen NotCapable",
    "write NotCapable",
  ]);
  const [own, page] = JSON.parse(lines[1]);
  assert.equal(await (await fetch(`http://127.0.0.1:${own}/`)).text(), "hello");
  assert.equal(await (await fetch(`http://127.0.0.1:${page}/`)).text(), "hi");
  await child.stdin.close();
  while (!(await reader.read()).done);
  await child.status;
  await Deno.remove(folder, { recursive: true });
});

Deno.test("giveUp() leaves nothing to ask for, even where all was allowed", async () => {
  const { stdout } = await runScript(
    `import { giveUp } from "${repositoryPath("cli/process/give_up.ts")}";
    await giveUp("net");
    try { await Deno.connect({ hostname: "127.0.0.1", port: 9 }); } catch (e) { console.log(e.name); }`,
    ["--allow-all"],
  );
  assert.equal(stdout, "NotCapable");
});
