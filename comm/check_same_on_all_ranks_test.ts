import assert from "node:assert/strict";
import { localComms } from "../tests/support/local_comm.ts";
import { checkSameOnAllRanks } from "./check_same_on_all_ranks.ts";

/** What ranks with these facts are told. */
async function told(...facts: readonly Record<string, unknown>[]): Promise<string | undefined> {
  const comms = localComms(facts.length);
  const ends = await Promise.allSettled(
    comms.map((comm, rank) => checkSameOnAllRanks(comm, facts[rank])),
  );
  const messages = ends.map((end) => end.status === "rejected" ? end.reason.message : undefined);
  assert.equal(new Set(messages).size, 1);
  return messages[0];
}

const DIFFER = "Cannot train on ranks that differ: ";

Deno.test("checkSameOnAllRanks() takes facts that are the same", async () => {
  const facts = { a: 1, b: { c: [1, 2], d: null }, e: undefined };
  assert.equal(await told(facts, { ...facts }, { b: { d: null, c: [1, 2] }, a: 1 }), undefined);
});

Deno.test("checkSameOnAllRanks() names fields by their paths, ranks and both values", async () => {
  assert.equal(
    await told(
      { a: 1, b: { c: { d: [1] } }, e: "x" },
      { a: 1, b: { c: { d: [2] } }, e: "x" },
      { a: 2, b: { c: {} }, e: "x", f: true },
    ),
    `${DIFFER}b.c.d is [2] on rank 1 and [1] on rank 0; a is 2 on rank 2 and 1 on rank 0; b.c.d is nothing on ` +
      "rank 2 and [1] on rank 0; f is true on rank 2 and nothing on rank 0",
  );
});

Deno.test("checkSameOnAllRanks() lists eight differences, and counts more", async () => {
  const of = (count: number, value: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, value]));
  const listed = Array.from({ length: 8 }, (_, i) => `f${i} is 2 on rank 1 and 1 on rank 0`);
  for (const [count, rest] of [[8, ""], [9, "; and 1 more"], [11, "; and 3 more"]] as const) {
    assert.equal(await told(of(count, 1), of(count, 2)), DIFFER + listed.join("; ") + rest);
  }
});

Deno.test("checkSameOnAllRanks() quotes 80 characters of a value", async () => {
  // With its quotes.
  const [whole, longer] = ["x".repeat(78), "y".repeat(79)];
  assert.equal(
    await told({ a: whole }, { a: longer }),
    `${DIFFER}a is "${longer}… on rank 1 and "${whole}" on rank 0`,
  );
});
