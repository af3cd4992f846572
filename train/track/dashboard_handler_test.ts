import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { createDashboardHandler } from "./dashboard_handler.ts";
import { DASHBOARD_CLIENT, DASHBOARD_STYLE, renderLivePage } from "./dashboard_page.ts";

const HOST = "127.0.0.1:6006";
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Asks a handler, as a browser whose address is the server's own or another. */
async function ask(
  handler: ReturnType<typeof createDashboardHandler>,
  path: string,
  { host = HOST, method = "GET" }: { readonly host?: string; readonly method?: string } = {},
): Promise<[status: number, headers: Record<string, string>, body: string]> {
  const request = new Request(`http://${HOST}${path}`, { headers: host ? { host } : {}, method });
  const response = await handler(request);
  return [response.status, Object.fromEntries(response.headers), await response.text()];
}

Deno.test("the dashboard serves its page, script and style, and nothing at other paths", async () => {
  const handler = createDashboardHandler({ directory: "none", hosts: () => ["other", HOST] });
  for (
    const [path, status, type, body] of [
      ["/", 200, "text/html", renderLivePage()],
      ["/client.js", 200, "text/javascript", DASHBOARD_CLIENT],
      ["/style.css", 200, "text/css", DASHBOARD_STYLE],
      ["/api/runs", 200, "application/json", "[]"],
      ["/api/run?name=..", 404, "text/plain", "Cannot find that\n"],
      ["/api/run", 404, "text/plain", "Cannot find that\n"],
      ["/api", 404, "text/plain", "Cannot find that\n"],
    ] as const
  ) {
    const headers = { ...HEADERS, "content-type": `${type}; charset=utf-8` };
    assert.deepEqual(await ask(handler, path), [status, headers, body], path);
  }
  assert.deepEqual(await ask(handler, "/favicon.ico"), [204, HEADERS, ""]);
});

Deno.test("the dashboard refuses a Host that is not its own, and every method but GET", async () => {
  const handler = createDashboardHandler({ directory: "none", hosts: () => [HOST] });
  const headers = { ...HEADERS, "content-type": "text/plain; charset=utf-8" };
  const refusal = "Cannot answer: the Host is not this server's own\n";
  for (const host of ["evil.example:6006", "127.0.0.1", ""]) {
    assert.deepEqual(await ask(handler, "/", { host }), [403, headers, refusal], host);
  }
  for (const method of ["POST", "PUT", "DELETE"]) {
    assert.deepEqual(await ask(handler, "/", { method }), [
      405,
      { ...headers, allow: "GET" },
      "Cannot answer: the method is not GET\n",
    ]);
  }
});

Deno.test("the dashboard tells what each file of a run got since its cursor, of runs that it finds", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  const handler = createDashboardHandler({ directory: path, hosts: () => [HOST] });
  const get = async (query: string): Promise<Record<string, Record<string, unknown>>> => {
    const [status, , body] = await ask(handler, `/api/run?${query}`);
    assert.equal(status, 200, query);
    return JSON.parse(body);
  };
  await mkdir(`${path}/new run/checkpoint-1`, { recursive: true });
  assert.equal((await ask(handler, "/api/run?name=new%20run"))[0], 404);
  // It is found by the first request for it, though nobody has asked for a list.
  await folder.write("new run/metrics.jsonl", '{"step":1}\n{"step":2}\n');
  await folder.write("new run/samples.jsonl", '{"step":3,"question":"q","answer":"a"}\n');
  const first = await get("name=new+run");
  const sample = { step: 3, question: "q", think: "", answer: "a" };
  assert.deepEqual(first.figures.rows, [{ step: 1 }, { step: 2 }]);
  assert.deepEqual(first.samples.rows, [sample]);
  const [figures, samples] = [`${first.figures.cursor}`, `${first.samples.cursor}`];
  const second = await get(new URLSearchParams({ name: "new run", figures, samples }).toString());
  assert.deepEqual([second.figures.rows, second.samples.rows], [[], []]);
  const third = await get(new URLSearchParams({ name: "new run", samples }).toString());
  assert.deepEqual([third.figures.rows, third.samples.rows], [first.figures.rows, []]);
  // What was found once stays known until the next search, even where its log is gone.
  await Deno.remove(`${path}/new run/metrics.jsonl`);
  assert.deepEqual((await get("name=new+run")).figures.rows, []);
  assert.equal((await ask(handler, "/api/runs"))[2], "[]");
  assert.equal((await ask(handler, "/api/run?name=new%20run"))[0], 404);
  // No path of a request reaches the disk.
  await folder.write("new run/checkpoint-1/metrics.jsonl", "");
  for (const name of ["new run/checkpoint-1", "../", path, "new run/../new run", "."]) {
    const query = new URLSearchParams({ name });
    assert.equal((await ask(handler, `/api/run?${query}`))[0], 404, name);
  }
});
