/** What the environment says of a hub. In: a source. Out: its endpoint and token, where set. */

import { SERVICES } from "../../hub/hub_client.ts";
import type { HubSource } from "../../hub/hub_options.ts";

/** Reads HF_ENDPOINT and HF_TOKEN, or MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN. */
export function hubEnvironment(
  source: HubSource,
): { readonly endpoint: string | undefined; readonly token: string | undefined } {
  const { endpointVariable, tokenVariable } = SERVICES[source];
  return {
    endpoint: Deno.env.get(endpointVariable) || undefined,
    token: Deno.env.get(tokenVariable) || undefined,
  };
}
