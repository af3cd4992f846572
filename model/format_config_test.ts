import assert from "node:assert/strict";
import { formatConfig } from "./format_config.ts";

Deno.test("a config.json is indented, and whole numbers of float fields keep their point", () => {
  const text = formatConfig({
    model_type: "llama",
    hidden_size: 32,
    final_logit_softcapping: 30,
    rms_norm_eps: 1e-6,
    router_aux_loss_coef: 0,
    attn_logit_softcapping: null,
    time_step_limit: [0, 0.5],
    rope_scaling: { factor: 2, names: ["a", "b"] },
  });
  assert.equal(
    text,
    `{
  "model_type": "llama",
  "hidden_size": 32,
  "final_logit_softcapping": 30.0,
  "rms_norm_eps": 0.000001,
  "router_aux_loss_coef": 0.0,
  "attn_logit_softcapping": null,
  "time_step_limit": [
    0.0,
    0.5
  ],
  "rope_scaling": {
    "factor": 2,
    "names": [
      "a",
      "b"
    ]
  }
}
`,
  );
});
