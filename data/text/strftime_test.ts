import assert from "node:assert/strict";
import { strftime } from "./strftime.ts";

Deno.test("strftime() follows Python's directives and leaves unknown ones alone", () => {
  // datetime(2026, 3, 5, 14, 7, 9).strftime(...)
  const date = new Date(2026, 2, 5, 14, 7, 9);
  assert.equal(strftime(date, "%d %b %Y"), "05 Mar 2026");
  assert.equal(strftime(date, "%A %a %B %-d %y %m"), "Thursday Thu March 5 26 03");
  assert.equal(strftime(date, "%H:%M:%S %I%p 100%% %Q"), "14:07:09 02PM 100% %Q");
});

Deno.test("strftime() knows glibc's flags, widths, weeks and composite directives", () => {
  const date = new Date(2026, 10, 21, 9, 5, 3, 42);
  assert.equal(
    strftime(date, "%c|%x|%X|%F|%r|%e|%k|%l"),
    "Sat Nov 21 09:05:03 2026|11/21/26|09:05:03|2026-11-21|09:05:03 AM|21| 9| 9",
  );
  assert.equal(strftime(date, "%j|%U|%W|%V|%G|%g|%u|%w|%C"), "325|46|46|47|2026|26|6|6|20");
  assert.equal(
    strftime(date, "%-j|%_H|%^a|%#p|%05d|%10A|%f|%z%Z"),
    "325| 9|SAT|am|00021|  Saturday|042000|",
  );
  // The first of January 2027 is a Friday, in the last week of 2026 by ISO 8601.
  assert.equal(strftime(new Date(2027, 0, 1), "%G-W%V-%u %U %W"), "2026-W53-5 00 00");
});
