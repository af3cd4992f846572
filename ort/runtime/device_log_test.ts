import assert from "node:assert/strict";
import { cString } from "./api.ts";
import { deviceLog } from "./device_log.ts";

// Made once, for as long as the process lives.
const log = deviceLog();

Deno.test("messages are collected until they are taken, those without words left out", () => {
  assert.equal(deviceLog(), log);
  assert.equal(log.failure, undefined);
  const pointer = "pointer" as const;
  const signature = {
    parameters: [pointer, "i32", pointer, pointer, pointer, pointer],
    result: "void",
  } as const;
  const native = new Deno.UnsafeFnPointer(
    log.pointer as Deno.PointerObject<Deno.ForeignFunction & typeof signature>,
    signature,
  );
  const say = (text: string | null): void => {
    const bytes = text === null ? null : cString(text);
    native.call(null, 3, null, null, null, bytes && Deno.UnsafePointer.of(bytes));
  };
  log.take();
  for (const text of ["one", null, "two"]) say(text);
  assert.deepEqual(log.take(), ["one", "two"]);
  assert.deepEqual(log.take(), []);
});
