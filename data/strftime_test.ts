import assert from "node:assert/strict";
import { strftime } from "./strftime.ts";

Deno.test("strftime() follows Python's directives and leaves unknown ones alone", () => {
  // datetime(2026, 3, 5, 14, 7, 9).strftime(...)
  const date = new Date(2026, 2, 5, 14, 7, 9);
  assert.equal(strftime(date, "%d %b %Y"), "05 Mar 2026");
  assert.equal(strftime(date, "%A %a %B %-d %y %m"), "Thursday Thu March 5 26 03");
  assert.equal(strftime(date, "%H:%M:%S %I%p 100%% %Q"), "14:07:09 02PM 100% %Q");
});
