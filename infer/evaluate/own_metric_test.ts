import assert from "node:assert/strict";
import type { EvaluatedReply } from "./metric.ts";
import { openOwnMetric } from "./own_metric.ts";

const example = { question: "1 + 1?", reference: { think: "", answer: "2" } };
const reply: EvaluatedReply = {
  think: "",
  answer: "It is 2",
  text: "It is 2",
  finishReason: "eos",
  newTokens: 4,
  promptTokens: 9,
};
const where = { file: "rows.jsonl", line: 3 };
const ENDLESS = "while (true);";

Deno.test("a metric of one's own makes numbers of example and reply", async () => {
  using metric = await openOwnMetric(
    "own.ts",
    `interface Reply { readonly answer: string }
     export default async ({ reference }: { reference: Reply }, reply: Reply) =>
       ({ contains: Number(reply.answer.includes(reference.answer)) });`,
  );
  assert.deepEqual(await metric.score(example, reply, where), { contains: 1 });
});

Deno.test("a metric of one's own can neither read, connect, run nor see the environment", async () => {
  using server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using metric = await openOwnMetric(
    "own.ts",
    `const tries = {
       read: () => Deno.readTextFileSync("deno.json"),
       write: () => Deno.writeTextFileSync("/tmp/x", ""),
       net: () => Deno.connect({ hostname: "127.0.0.1", port: ${server.addr.port} }),
       env: () => Deno.env.get("HOME"),
       run: () => new Deno.Command("ls").outputSync(),
       ffi: () => Deno.dlopen("libc.so.6", {}),
       file: () => import(${JSON.stringify(import.meta.url)}),
       // A worker of its own may have no more than it has.
       worker: () => new Worker("data:text/javascript,", { type: "module", deno: { permissions: { read: true } } }),
     };
     export default async () => {
       const could = {};
       for (const [name, attempt] of Object.entries(tries)) {
         try { await attempt(); could[name] = 1; } catch { could[name] = 0; }
       }
       return could;
     };`,
  );
  assert.deepEqual(await metric.score(example, reply, where), {
    read: 0,
    write: 0,
    net: 0,
    env: 0,
    run: 0,
    ffi: 0,
    file: 0,
    worker: 0,
  });
});

Deno.test("faults of a metric are told with its file, and on which row", async () => {
  const loading: readonly (readonly [string, RegExp])[] = [
    ["export const x = 1;", /^Cannot use the metric own\.ts: it has no default export/],
    ["export default (", /^Cannot use the metric own\.ts: /],
    ['import "./other.ts"; export default () => ({});', /^Cannot use the metric own\.ts: /],
  ];
  for (const [text, message] of loading) {
    await assert.rejects(openOwnMetric("own.ts", text), { message });
  }
  // What never ends has its time; all else has enough of it on a busy machine too.
  await assert.rejects(openOwnMetric("own.ts", ENDLESS, { timeLimit: 500 }), {
    message: /^Cannot use the metric own\.ts: it takes longer than 0\.5 s/,
  });
  const scoring: readonly (readonly [string, RegExp])[] = [
    ['() => { throw new Error("no luck"); }', /: no luck$/],
    ["() => 1", /: expected numbers by name, got number 1$/],
    ["() => ({ a: NaN })", /: expected a finite number a, got /],
    ['() => ({ "a b": 1 })', /: expected names of letters, digits and _, got "a b"$/],
    [`() => { ${ENDLESS} }`, /: it takes longer than 2 s$/],
  ];
  for (const [source, message] of scoring) {
    const timeLimit = source.includes(ENDLESS) ? 2000 : undefined;
    using metric = await openOwnMetric("own.ts", `export default ${source}`, { timeLimit });
    await assert.rejects(metric.score(example, reply, where), (error: Error) => {
      assert.match(error.message, /^rows\.jsonl:3: the metric own\.ts fails on this row: /);
      assert.match(error.message, message);
      return true;
    });
  }
});
