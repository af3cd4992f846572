import assert from "node:assert/strict";
import {
  CHAT_SETTINGS,
  type ChatSettings,
  formatChatSettings,
  parseChatSettings,
  readChatSettings,
} from "./chat_settings.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";

Deno.test("readChatSettings() reads what formatChatSettings() wrote", async () => {
  await using folder = await tempFolder();
  assert.equal(await readChatSettings(folder.path), undefined);
  const all: ChatSettings[] = [
    { system: "Be brief.", enableThinking: false, eosTokenIds: [7, 3] },
    { system: "", eosTokenIds: [] },
    { eosTokenIds: [0] },
  ];
  for (const settings of all) {
    await folder.write(CHAT_SETTINGS, formatChatSettings(settings));
    assert.deepEqual(await readChatSettings(folder.path), settings);
  }
});

const good = { format: 1, system: null, enable_thinking: null, eos_token_ids: [1] };
const bad: [unknown, string][] = [
  [[], "it is not of format 1"],
  [{ ...good, format: 2 }, "it is not of format 1"],
  [{ ...good, mood: 1 }, "it holds mood, which is not known"],
  [{ ...good, system: 4 }, "system must be text or null"],
  [{ ...good, enable_thinking: "no" }, "enable_thinking must be true, false or null"],
  [{ ...good, eos_token_ids: [-1] }, "eos_token_ids must be a list of ids"],
  [{ ...good, eos_token_ids: 5 }, "eos_token_ids must be a list of ids"],
];
for (const [json, state] of bad) {
  Deno.test(`parseChatSettings() refuses ${JSON.stringify(json)}`, () => {
    const message = `Cannot read c.json: ${state}; delete it, and give --system yourself`;
    assert.throws(() => parseChatSettings(json, "c.json"), { name: "RangeError", message });
  });
}

Deno.test("chat settings take up to 16 ids, and are written as JSON of two blanks", () => {
  const ids = Array.from({ length: 16 }, (_, id) => id);
  const json = { format: 1, system: null, enable_thinking: null, eos_token_ids: ids };
  assert.deepEqual(parseChatSettings(json), { eosTokenIds: ids });
  assert.throws(() => parseChatSettings({ ...json, eos_token_ids: [...ids, 16] }), {
    message:
      "Cannot read chat_settings.json: eos_token_ids must be a list of ids; delete it, and give --system yourself",
  });
  for (const enable_thinking of [true, false]) {
    assert.deepEqual(
      parseChatSettings({ ...json, system: "", enable_thinking, eos_token_ids: [3] }),
      {
        system: "",
        enableThinking: enable_thinking,
        eosTokenIds: [3],
      },
    );
  }
  assert.equal(
    formatChatSettings({ system: "", enableThinking: true, eosTokenIds: [1] }),
    '{\n  "format": 1,\n  "system": "",\n  "enable_thinking": true,\n  "eos_token_ids": [\n    1\n  ]\n}\n',
  );
  assert.equal(
    formatChatSettings({ eosTokenIds: [] }),
    '{\n  "format": 1,\n  "system": null,\n  "enable_thinking": null,\n  "eos_token_ids": []\n}\n',
  );
});
