import assert from "node:assert/strict";
import { mayHaveRun, missedLines } from "./coverage.ts";

const REPORT = `SF:/a/train/x.ts
BRDA:6,2,0,0
BRDA:6,2,1,1
BRDA:8,3,0,0
BRDA:8,3,1,0
DA:5,10
DA:6,0
DA:8,0
DA:9,0
end_of_record
SF:/b/train/y.ts
DA:1,0
end_of_record
`;

Deno.test("missedLines() names the lines that were not reached, of the checkout's files", () => {
  assert.deepEqual(missedLines(REPORT, "/a"), { "train/x.ts": [8, 9] });
});

Deno.test("mayHaveRun() needs one line that is not missed, of a file that was loaded", () => {
  const missed = missedLines(REPORT, "/a");
  const cases = [[6, 6, true], [7, 7, true], [8, 8, false], [8, 9, false], [9, 10, true]] as const;
  for (const [first, last, expected] of cases) {
    assert.equal(mayHaveRun(missed, "train/x.ts", first, last), expected, `${first} to ${last}`);
  }
  assert.equal(mayHaveRun(missed, "train/y.ts", 1, 1), false);
  assert.ok(mayHaveRun({ "comm/x_worker.ts": [1, 2] }, "comm/x_worker.ts", 1, 2));
});
