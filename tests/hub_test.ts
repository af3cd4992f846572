/** Downloads from stand-in hubs that fail in every way: nothing bad stays, no token goes astray. */

import assert from "node:assert/strict";
import { HubError } from "../hub/hub_error.ts";
import { resolveModel } from "../hub/resolve_model.ts";
import { PythonRandom } from "../ort/tensor/python_random.ts";
import { type Fault, startHub } from "./support/hub_stub.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { assertGood, FILES, ID, options, present, TOKEN, WANTED } from "./support/tiny_hub.ts";

Deno.test("200 and more faults at random leave no bad file and send no token elsewhere", async () => {
  const random = new PythonRandom(20260101);
  const kinds: readonly Fault[] = [
    "cut",
    "broken",
    "corrupt",
    "longer",
    "stall",
    "403",
    "404",
    "416",
    "429",
    "500",
    "503",
    "redirect",
    "redirect",
    "redirect to file",
    "redirect loop",
    "wrong range",
    "ignored range",
    "changed",
  ];
  let [faults, failed, succeeded] = [0, 0, 0];
  const seen = new Set<Fault>();
  await using hub = startHub(FILES);
  while (faults < 400) {
    await using folder = await tempFolder();
    const source = random.randrange(2) === 0 ? "huggingface" : "modelscope";
    const given = options(hub, folder, { source, token: TOKEN, stallMilliseconds: 60 });
    hub.fault = (file) => {
      if (random.randrange(file === undefined ? 20 : 3) !== 0) return undefined;
      const fault = kinds[random.randrange(kinds.length)];
      faults++;
      seen.add(fault);
      return fault;
    };
    for (let attempt = 0; attempt < 3; attempt++) {
      const done = await resolveModel(ID, given).then(() => true, (error: unknown) => {
        if (!(error instanceof HubError)) throw error;
        assert.ok(!error.message.includes(TOKEN));
        return false;
      });
      if (done) succeeded++;
      else failed++;
      // Whatever has its name is whole and right, at any time.
      await assertGood(hub, folder, await present(folder));
      if (done) assert.deepEqual(await present(folder), WANTED);
    }
    hub.fault = () => undefined;
    await resolveModel(ID, given);
    assert.deepEqual(await present(folder), WANTED);
    await assertGood(hub, folder, WANTED);
  }
  const leaks = hub.requests.filter(({ host, path, headers }) =>
    host === "elsewhere" && JSON.stringify([path, ...headers]).includes(TOKEN)
  );
  assert.deepEqual(leaks, []);
  assert.ok(hub.requests.some(({ host }) => host === "elsewhere"));
  assert.ok(failed > 10 && succeeded > 10, `${failed} failed, ${succeeded} succeeded`);
  assert.equal(seen.size, new Set(kinds).size);
});
