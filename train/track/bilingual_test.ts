import assert from "node:assert/strict";
import { inBoth, LANGUAGE_SCRIPT, translateChart } from "./bilingual.ts";

Deno.test("inBoth() escapes both texts", () => {
  assert.equal(
    inBoth({ en: "<b>", zh: '"><b>' }).text,
    '<span data-zh="&quot;&gt;&lt;b&gt;">&lt;b&gt;</span>',
  );
});

Deno.test("translateChart() gives the texts and names that it knows their Chinese, and no others", () => {
  const svg =
    '<svg role="img" aria-label="Loss"><text x="1">Loss</text><text>&lt;Loss&gt;</text></svg>';
  assert.equal(
    translateChart(svg, [{ en: "Loss", zh: "损失" }]).text,
    '<svg role="img" aria-label="Loss" data-zh-label="损失"><text x="1" data-zh="损失">Loss</text>' +
      "<text>&lt;Loss&gt;</text></svg>",
  );
});

Deno.test("the script of a page makes it Chinese where the browser is, and leaves it else", () => {
  const run = (language: string) => {
    const text = { dataset: { zh: "损失" }, textContent: "Loss" };
    const chart = { dataset: { zhLabel: "损失" }, setAttribute: (...it: string[]) => set.push(it) };
    const set: string[][] = [];
    const document = {
      documentElement: { lang: "en" },
      querySelectorAll: (selector: string) => selector === "[data-zh]" ? [text] : [chart],
    };
    new Function("navigator", "document", LANGUAGE_SCRIPT)({ language }, document);
    return [document.documentElement.lang, text.textContent, set];
  };
  assert.deepEqual(run("zh-TW"), ["zh-CN", "损失", [["aria-label", "损失"]]]);
  assert.deepEqual(run("de"), ["en", "Loss", []]);
});
