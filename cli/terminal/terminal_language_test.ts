import assert from "node:assert/strict";
import { terminalLanguage } from "./terminal_language.ts";

Deno.test("terminalLanguage() takes the first variable that is set, as POSIX orders them", () => {
  const cases: readonly [Record<string, string>, string][] = [
    [{}, "en"],
    [{ LANG: "C.UTF-8" }, "en"],
    [{ LANG: "zh_CN.UTF-8" }, "zh"],
    [{ LANG: "zh" }, "zh"],
    [{ LANG: "ZH_TW" }, "zh"],
    [{ LANG: "zha_CN" }, "en"],
    [{ LANG: "zh_CN.UTF-8", LC_MESSAGES: "en_US.UTF-8" }, "en"],
    [{ LANG: "de_DE", LC_ALL: "", LC_MESSAGES: "zh_CN" }, "zh"],
    [{ LC_ALL: "C", LC_MESSAGES: "zh_CN", LANG: "zh_CN" }, "en"],
  ];
  for (const [environment, language] of cases) {
    assert.equal(terminalLanguage(environment), language, JSON.stringify(environment));
  }
});
