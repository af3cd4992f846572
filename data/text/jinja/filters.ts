/**
 * All filters of Jinja. null stands for those that are not rendered here: their text is random, an
 * outline for people, or that of a library of its own.
 *
 * @huggingface/jinja 0.5.11 has 29 of these 54, with other text for lists, floats, title case,
 * indents and white space, and it takes any value where Python refuses it.
 */

import type { FilterFunction, FilterTable } from "./filter_arguments.ts";
import { APPLYING_FILTERS } from "./filters_apply.ts";
import { LIST_FILTERS } from "./filters_list.ts";
import { NUMBER_FILTERS } from "./filters_number.ts";
import { TEXT_FILTERS } from "./filters_text.ts";

const UNSUPPORTED = [
  "filesizeformat",
  "pprint",
  "random",
  "striptags",
  "urlize",
  "wordwrap",
  "xmlattr",
] as const;

/** The filters by name. */
export const FILTERS: FilterTable = new Map<
  string,
  FilterFunction | null
>([
  ...TEXT_FILTERS,
  ...NUMBER_FILTERS,
  ...LIST_FILTERS,
  ...APPLYING_FILTERS,
  ...UNSUPPORTED.map((name) => [name, null] as const),
]);
