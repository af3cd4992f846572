import assert from "node:assert/strict";
import { type RunningProcess, startDeno } from "../../tests/support/process.ts";
import { repositoryPath } from "../../tests/support/run_script.ts";

const hostname = "127.0.0.1";

/** Serves in a process of its own, which gives up its permission to connect. */
function page(...args: string[]): RunningProcess {
  return startDeno(repositoryPath("tests/support/page_server.ts"), { args });
}

async function portOf(server: RunningProcess): Promise<number> {
  await server.waitFor(/port \d+\./);
  return Number(/port (\d+)\./.exec(server.text)![1]);
}

/** What a connection is told until it is closed. */
async function told(connection: Deno.Conn): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  for (;;) {
    const length = await connection.read(buffer).catch(() => null);
    if (length === null) return text;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

Deno.test("servePage() does not wait for half-sent requests", async () => {
  await using server = page("300");
  const port = await portOf(server);
  const head = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\nX-Half: ");
  const began = performance.now();
  const halves = await Promise.all(Array.from({ length: 40 }, async () => {
    const connection = await Deno.connect({ hostname, port });
    await connection.write(head);
    return connection;
  }));
  // Others are answered meanwhile.
  assert.equal(await (await fetch(`http://${hostname}:${port}/`)).text(), "here");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string[]>((resolve) => {
    timer = setTimeout(() => resolve(["nothing"]), 10_000);
  });
  const answers = await Promise.race([Promise.all(halves.map(told)), late]);
  clearTimeout(timer);
  for (const connection of halves) connection.close();
  assert.ok(answers.every((answer) => /^HTTP\/1\.1 408 /.test(answer)), answers[0]);
  assert.ok(performance.now() - began < 10_000);
});

Deno.test("servePage() ends at once, whatever connections there are", async () => {
  await using server = page("10000");
  const port = await portOf(server);
  using idle = await Deno.connect({ hostname, port });
  await idle.write(new TextEncoder().encode("GET / HT"));
  // So that the connection has arrived.
  await (await fetch(`http://${hostname}:${port}/`)).text();
  const began = performance.now();
  server.kill("SIGINT");
  await server.waitFor(/ended/);
  assert.ok(performance.now() - began < 5_000);
});

Deno.test("servePage() says which port is taken, and what failed", async () => {
  await using server = page("10000", "0", "fails");
  const port = await portOf(server);
  const response = await fetch(`http://${hostname}:${port}/`);
  assert.deepEqual([response.status, await response.text()], [500, "Cannot show it\n"]);
  await server.waitFor(/error: no such run/);
  await using second = page("10000", String(port));
  const { code, text } = await second.ended();
  assert.equal(code, 1);
  assert.match(
    text,
    /Cannot listen on 127\.0\.0\.1:\d+: another program does; give another --port/,
  );
});
