import assert from "node:assert/strict";
import { HubError } from "./hub_error.ts";

Deno.test("HubError keeps all that is known", () => {
  const cause = new Error("why");
  const details = {
    host: "h",
    status: 503,
    file: "f",
    temporary: true,
    retryAfter: 7,
  };
  const full = new HubError("no", { ...details, cause });
  assert.deepEqual({ ...full, message: full.message, cause: full.cause }, {
    ...details,
    name: "HubError",
    message: "no",
    cause,
  });
  const bare = new HubError("no");
  assert.deepEqual({ ...bare }, {
    name: "HubError",
    host: undefined,
    status: undefined,
    file: undefined,
    temporary: false,
    retryAfter: undefined,
  });
  assert.ok(!("cause" in bare));
  assert.ok(!("cause" in new HubError("no", details)));
});
