/** What published chat templates teach: thinking and answer as the row has them, or an error. */

import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../data/text/byte_tokenizer.ts";
import { toExamples } from "../data/examples/to_examples.ts";
import type { Message } from "../data/text/message.ts";
import { createTokenizer } from "../data/text/tokenizer.ts";

const folder = new URL("./fixtures/jinja/templates/", import.meta.url);
const names = (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();

const user = (content: string): Message => ({ role: "user", content });
const reply = (content: string, reasoning_content = ""): Message => (
  { role: "assistant", content, reasoning_content }
);
const CHATS: readonly (readonly Message[])[] = [
  [user("Q?"), reply("    import x\n\ty", "  a = 1\n    b")],
  [user("Q?"), reply("　　春天来了", "写诗。")],
  [user("Q?"), reply("A.")],
  [user("Q?"), reply("A.", "t1"), user("R?"), reply("B.", "t2")],
  [user("Q?"), reply("A."), reply("B.")],
  [
    user("Q?"),
    reply("A."),
    user("R?"),
    { ...reply("B."), learn: false },
    user("S?"),
    reply("C.", "t"),
  ],
];
/** Messages of templates and of ours that say why a chat gives no example. */
const REFUSED =
  /must alternate|leaves its (thinking|answer) out|does not begin with its own prompt/;

for (const name of names) {
  Deno.test(`${name} gives replies with their thinking and answer, or is refused`, async () => {
    const chatTemplate = await Deno.readTextFile(new URL(name, folder));
    const tokenizer = createTokenizer({ ...byteTokenizerFiles(), chatTemplate });
    let made = 0;
    for (const chat of CHATS) {
      const learned = chat.filter(({ role, learn = true }) => role === "assistant" && learn);
      let trimmed = false;
      let examples;
      try {
        examples = toExamples(chat, {
          tokenizer,
          maxLength: 4096,
          onTrimmed: () => trimmed = true,
        });
      } catch (cause) {
        assert.match((cause as Error).message, REFUSED);
        continue;
      }
      made++;
      assert.equal(examples.length, learned.length);
      examples.forEach(({ inputIds, promptLength }, i) => {
        const prompt = tokenizer.decode(inputIds.subarray(0, promptLength));
        const taught = tokenizer.decode(inputIds.subarray(promptLength));
        const { content, reasoning_content = "" } = learned[i];
        for (const text of [reasoning_content, content]) {
          assert.ok(taught.includes(trimmed ? text.trim() : text), `${text} in ${taught}`);
        }
        assert.ok(!prompt.includes(content), `the prompt gives ${content} away: ${prompt}`);
      });
    }
    assert.ok(made >= 2, `only ${made} chats were rendered`);
  });
}
