/** What a rank's environment says, by the permissions of the tasks alone. */

import { COMM_VARIABLES, type CommEnvironment } from "../../comm/mpi_launch.ts";

export const environment: CommEnvironment = Object.fromEntries(
  COMM_VARIABLES.map((name) => [name, Deno.env.get(name)]),
);
