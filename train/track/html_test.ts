import assert from "node:assert/strict";
import { cleanText, escapeHtml, html, Markup } from "./html.ts";

Deno.test("html() escapes text and keeps markup", () => {
  const inner = html`<b title="${'"&'}">${"<i>"}</b>`;
  assert.equal(
    html`<p>${inner}${new Markup("<hr>")}${1}</p>`.text,
    '<p><b title="&quot;&amp;">&lt;i&gt;</b><hr>1</p>',
  );
});

Deno.test("html() joins lists and leaves out what is not there", () => {
  assert.equal(html`<p>${["<", html`<br>`, undefined, false, [2]]}</p>`.text, "<p>&lt;<br>2</p>");
});

Deno.test("html() takes no object for markup but its own", () => {
  // @ts-expect-error -- what looks like markup is not
  assert.throws(() => html`${{ text: "<script>" }}`, TypeError);
});

Deno.test("escapeHtml() escapes each character that ends text or an attribute", () => {
  assert.equal(escapeHtml(`&<>"'\``), "&amp;&lt;&gt;&quot;&#39;&#96;");
});

Deno.test("cleanText() keeps text and replaces what XML forbids", () => {
  assert.equal(cleanText("一\t\r\n😀 é"), "一\t\r\n😀 é");
  assert.equal(cleanText("\u0000\u001b\u0085\ud800\uffff"), "\ufffd".repeat(5));
});
