/** A judge, by a stand-in server of this machine. */

import assert from "node:assert/strict";
import { askJudge, RUBRIC } from "./judge.ts";

const asked = { question: "1 + 1?", reference: "2", answer: "It is 2" };

type Answers = readonly (readonly [status: number, text: string])[];

/** Answers with each status and text in turn. */
function standIn(answers: Answers) {
  const requests: { path: string; key: string | null; body: Record<string, unknown> }[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname: path } = new URL(request.url);
      requests.push({
        path,
        key: request.headers.get("authorization"),
        body: await request.json(),
      });
      const [status, text] = answers[Math.min(requests.length, answers.length) - 1];
      return new Response(text, { status });
    },
  );
  return { url: `http://127.0.0.1:${server.addr.port}/v1`, requests, server };
}

const said = (content: unknown): string => JSON.stringify({ choices: [{ message: { content } }] });

Deno.test("askJudge() sends the rubric at temperature 0 and reads the last grade", async () => {
  const { url, requests, server } = standIn([[
    200,
    said("Grade: 2 at first sight.\n**Grade: 4**"),
  ]]);
  await using _server = { [Symbol.asyncDispose]: () => server.shutdown() };
  const { grade } = await askJudge(asked, { url: `${url}/`, model: "judge", apiKey: "k" });
  assert.equal(grade, 4);
  const [{ path, key, body }] = requests;
  assert.deepEqual([path, key, body.model, body.temperature], [
    "/v1/chat/completions",
    "Bearer k",
    "judge",
    0,
  ]);
  const [{ content }] = body.messages as { content: string }[];
  assert.ok(content.startsWith(RUBRIC));
  for (const text of Object.values(asked)) assert.ok(content.includes(text));
});

Deno.test("askJudge() tries again where the server is busy, and tells what else is wrong", async () => {
  const cases: readonly (readonly [Answers, RegExp | number, number])[] = [
    [[[503, "busy"], [429, "later"], [200, said("Grade: 5")]], 5, 3],
    [[[500, "broken"]], /: status 500, broken$/, 3],
    [[[401, "no key"]], /: status 401, no key$/, 1],
    [[[200, "<html>"]], /: expected choices\[0\]\.message\.content, got /, 1],
    [[[200, said(null)]], /: expected choices\[0\]\.message\.content, got /, 1],
    [
      [[200, said("It is good. Grade: 7")]],
      /expected a line "Grade: N", got string "It is good/,
      1,
    ],
    [[[200, "x".repeat(2 ** 20 + 1)]], /its answer has more than 1048576 bytes$/, 3],
  ];
  for (const [answers, expected, times] of cases) {
    const { url, requests, server } = standIn(answers);
    await using _server = { [Symbol.asyncDispose]: () => server.shutdown() };
    const grading = askJudge(asked, { url, model: "judge", wait: 1 });
    if (typeof expected === "number") assert.equal((await grading).grade, expected);
    else await assert.rejects(grading, { message: expected });
    assert.equal(requests.length, times);
  }
});
