import assert from "node:assert/strict";
import { Contender, REPLY } from "./contender.ts";
import { TimeBudget } from "./time_budget.ts";

/** A process of the given code; `say` answers. */
function contender(code: string): Contender {
  const say = `const say = (x) => console.log("${REPLY}" + JSON.stringify(x));`;
  return new Contender(Deno.execPath(), ["eval", `${say} ${code}`]);
}

const command = { phase: "four", count: 1 } as const;

Deno.test("Contender tells replies from noise", async () => {
  const one = contender(`console.log("noise"); say({ ready: true });
    for await (const bytes of Deno.stdin.readable) say({ got: JSON.parse(new TextDecoder().decode(bytes)) });`);
  const budget = new TimeBudget(60);
  assert.deepEqual(await one.reply(budget, 60), { ready: true });
  assert.deepEqual(await one.ask(command, budget, 60), { got: command });
  await one.stop();
});

Deno.test("Contender says what a process that ended last wrote", async () => {
  const one = contender(`console.error("out of memory"); Deno.exit(3);`);
  await assert.rejects(one.reply(new TimeBudget(60), 60), /It ended; .*out of memory/s);
});

Deno.test("Contender ends a process that takes too long", async () => {
  const one = contender(`setInterval(() => {}, 1000);`);
  await assert.rejects(one.reply(new TimeBudget(60), 0.2), /gave no answer within 0 s/);
  await assert.rejects(
    one.ask(command, new TimeBudget(60), 1),
    /It (ended|takes no more commands)/,
  );
});

Deno.test("Contender tells the error before the trace that followed it", async () => {
  const script = "echo 'RuntimeError: out of memory' >&2; echo 'at somewhere' >&2; exit 1";
  const contender = new Contender("bash", ["-c", script]);
  await assert.rejects(contender.reply(new TimeBudget(20), 20), {
    message:
      "It ended: RuntimeError: out of memory; its last words: RuntimeError: out of memory\nat somewhere",
  });
});
