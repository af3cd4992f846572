import assert from "node:assert/strict";
import { formatChatSettings } from "../../data/text/chat_settings.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { chatTexts, keptChat, taughtChat } from "./taught_chat.ts";

const report = {
  ...{ systems: [], rows: 10, refusedRows: 0, terminators: [], replies: 12 },
  ...{ withoutThinking: 0, thinkingOff: 0 },
};

Deno.test("taughtChat() keeps a system prompt that more than half of the rows used have", () => {
  const system = (rows: number, refusedRows = 0): string | undefined =>
    taughtChat(
      { ...report, systems: [{ text: "s", rows }, { text: "t", rows: 9 }], refusedRows },
      {},
    )
      .system;
  assert.deepEqual([system(5), system(6), system(4, 2), system(5, 2)], [
    undefined,
    "s",
    undefined,
    "s",
  ]);
  const none = taughtChat({ ...report, systems: [{ text: "", rows: 10 }] }, {});
  assert.deepEqual(none, { system: "", eosTokenIds: [] });
  assert.deepEqual(taughtChat(report, {}), { eosTokenIds: [] });
});

Deno.test("taughtChat() turns thinking off where all replies are learned without", () => {
  for (
    const [thinkingOff, withoutThinking, emptyThink, off] of [
      [12, 0, undefined, true],
      [11, 1, undefined, false],
      [11, 1, "prompt", true],
      [11, 1, "omit", false],
      [10, 1, "prompt", false],
      [0, 12, "prompt", true],
      [0, 12, "teach", false],
    ] as const
  ) {
    const taught = taughtChat({ ...report, thinkingOff, withoutThinking }, { emptyThink });
    assert.deepEqual(
      taught,
      off ? { enableThinking: false, eosTokenIds: [] } : { eosTokenIds: [] },
    );
  }
  // Of texts there are no replies.
  assert.deepEqual(taughtChat({ ...report, replies: 0 }, {}), { eosTokenIds: [] });
  const one = taughtChat({ ...report, replies: 1, thinkingOff: 1 }, {});
  assert.equal(one.enableThinking, false);
});

Deno.test("taughtChat() ends replies at the most frequent terminator alone", () => {
  assert.deepEqual(taughtChat({ ...report, terminators: [7, 3] }, {}).eosTokenIds, [7]);
});

Deno.test("chatTexts() writes settings, a template, and generation_config.json where its ends change", async () => {
  await using folder = await tempFolder();
  const model = folder.path;
  const settings = { system: "s", eosTokenIds: [7] };
  const kept = { "chat_settings.json": formatChatSettings(settings) };
  const texts = (eosTokenId?: unknown, chatTemplate?: string) =>
    chatTexts(settings, { model, eosTokenId, chatTemplate });
  // A model without the file gets none.
  assert.deepEqual(await texts(5, "t"), { ...kept, "chat_template.jinja": "t" });
  await folder.write("generation_config.json", '{"top_k":3,"eos_token_id":[5,6]}');
  assert.deepEqual(await texts(9), {
    ...kept,
    "generation_config.json":
      '{\n  "top_k": 3,\n  "eos_token_id": [\n    7,\n    5,\n    6\n  ]\n}\n',
  });
  // It has them all.
  await folder.write("generation_config.json", '{"eos_token_id":[5,7]}');
  assert.deepEqual(await texts(9), kept);
  // Where it says nothing, config.json does.
  await folder.write("generation_config.json", '{"top_k":3}');
  assert.deepEqual(await texts(7), kept);
  const [written] = [await texts(9)];
  assert.deepEqual(JSON.parse(written["generation_config.json"]), {
    top_k: 3,
    eos_token_id: [7, 9],
  });
  assert.deepEqual(JSON.parse((await texts())["generation_config.json"]), {
    ...{ top_k: 3, eos_token_id: 7 },
  });
  await folder.write("generation_config.json", "[1]");
  assert.deepEqual(await texts(9), kept);
});

Deno.test("keptChat() reads what an adapter's folder keeps, of whatever made it", async () => {
  await using folder = await tempFolder();
  await using model = await tempFolder();
  await model.write("generation_config.json", '{"eos_token_id":5}');
  const of = { model: model.path, eosTokenId: 5 };
  assert.deepEqual(await keptChat(undefined, of), { texts: {}, eosTokenIds: [] });
  assert.deepEqual(await keptChat(folder.path, of), { texts: {}, eosTokenIds: [] });
  await folder.write("chat_template.jinja", "{{ messages }}");
  const template = { "chat_template.jinja": "{{ messages }}" };
  assert.deepEqual(await keptChat(folder.path, of), { texts: template, eosTokenIds: [] });
  const settings = { system: "s", enableThinking: false, eosTokenIds: [7] };
  await folder.write("chat_settings.json", formatChatSettings(settings));
  assert.deepEqual(await keptChat(folder.path, of), {
    texts: {
      "chat_settings.json": formatChatSettings(settings),
      "generation_config.json": '{\n  "eos_token_id": [\n    7,\n    5\n  ]\n}\n',
      ...template,
    },
    eosTokenIds: [7],
  });
});
