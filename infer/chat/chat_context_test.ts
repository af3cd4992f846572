import assert from "node:assert/strict";
import { CHAT_TEMPLATE } from "../../data/text/tokenizer.ts";
import { quickstartFolder } from "../../tests/support/quickstart_folder.ts";
import { openChat } from "./chat_context.ts";

Deno.test("an adapter shares the base's tokenizer unless it has a template of its own", async () => {
  await using folder = await quickstartFolder();
  const model = `${folder.path}/models/tiny`;
  const { tokenizer } = await openChat({ model });
  const adapter = `${folder.path}/adapter`;
  await Deno.mkdir(adapter);
  const shared = await openChat({ model, adapter, tokenizer });
  assert.equal(shared.tokenizer, tokenizer);
  await Deno.writeTextFile(`${adapter}/${CHAT_TEMPLATE}`, "own: {{ messages[0]['content'] }}");
  const own = await openChat({ model, adapter, tokenizer });
  assert.equal(
    own.tokenizer.render([{ role: "user", content: "Hi" }], { addGenerationPrompt: true }),
    "own: Hi",
  );
});
