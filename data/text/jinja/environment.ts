/** What templates look up by name: Jinja's own filters and tests, as nobody can add others. */

import type { Environment } from "./filter_arguments.ts";
import { FILTERS } from "./filters.ts";
import { TESTS } from "./tests.ts";

/** The filters and tests of every template. */
export const ENVIRONMENT: Environment = { filters: FILTERS, tests: TESTS };
