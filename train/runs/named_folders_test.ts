import assert from "node:assert/strict";
import { describePlaces, firstFolder } from "./named_folders.ts";

Deno.test({
  name: "what may not be read is told from what is not there",
  permissions: { read: ["models", "output"], write: false },
  fn: async () => {
    const { found, seen } = await firstFolder(["models/none", "/srv/base"]);
    assert.equal(found, undefined);
    assert.equal(
      describePlaces(seen),
      "there is no folder models/none; /srv/base may not be read (tasks read models, data and output " +
        "only)",
    );
  },
});
