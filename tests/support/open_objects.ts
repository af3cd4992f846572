/** ONNX Runtime's objects that are open. In: a runtime. Out: how many of each kind were made and not released since. */

import type { Runtime } from "../../ort/runtime/runtime.ts";

/** Kinds of objects, by the calls that make one and that release it. */
const KINDS = {
  sessions: [/^CreateSession(?:FromArray)?$/, /^ReleaseSession$/],
  bindings: [/^CreateIoBinding$/, /^ReleaseIoBinding$/],
  tensors: [/^CreateTensor.*AsOrtValue$/, /^ReleaseValue$/],
} as const;

/** Counts from now on. */
export function openObjects(runtime: Runtime): () => Record<keyof typeof KINDS, number> {
  const open = { sessions: 0, bindings: 0, tensors: 0 };
  const count = (call: string, which: 0 | 1): void => {
    for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
      if (KINDS[kind][which].test(call)) open[kind] += which === 0 ? 1 : -1;
    }
  };
  const { api } = runtime;
  const { create, raw } = api;
  api.create = (name, ...rest) => {
    const made = create.call(api, name, ...rest);
    count(name, 0);
    return made;
  };
  api.raw = (name, ...rest) => {
    count(name, 1);
    return raw.call(api, name, ...rest);
  };
  return () => ({ ...open });
}
