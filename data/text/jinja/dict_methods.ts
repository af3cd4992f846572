/** Methods of dict. Those that change one are refused by the sandbox. */

import { parameters } from "./arguments.ts";
import { PyDict, PyDictView } from "./dict.ts";
import type { Method, Methods } from "./method.ts";
import { orElse } from "./value.ts";

const bindGet = parameters("get", "key, default?, /");
const bindNone = parameters("dict method", "");

const view = (kind: "keys" | "values" | "items"): [string, Method<PyDict>] => [
  kind,
  (_budget, dict, args, kwargs) => {
    bindNone(args, kwargs);
    return new PyDictView(dict, kind);
  },
];

/** The methods. */
export const DICT_METHODS: Methods<PyDict> = new Map<string, Method<PyDict> | null>([
  view("keys"),
  view("values"),
  view("items"),
  ["get", (budget, dict, args, kwargs) => {
    const [key, missing = null] = bindGet(args, kwargs);
    return orElse(dict.get(budget, key!), () => missing);
  }],
  ["copy", (budget, dict, args, kwargs) => {
    bindNone(args, kwargs);
    const copy = new PyDict();
    for (const { key, value } of dict.entries()) copy.set(budget, key, value);
    return copy;
  }],
  ["fromkeys", null],
]);

/** Refused. */
export const REFUSED_DICT_METHODS: ReadonlySet<string> = new Set([
  "clear",
  "pop",
  "popitem",
  "setdefault",
  "update",
]);
