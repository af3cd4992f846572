/** What ranks say of their cores. In: threads. Out: a line of JSON a rank. */

import { checkPinning } from "../../comm/check_pinning.ts";
import { openComm } from "../../comm/open_comm.ts";
import { environment } from "./environment.ts";

await using comm = await openComm("auto", { environment });
const says = await checkPinning(comm, Number(Deno.args[0]));
console.log(JSON.stringify({ rank: comm.rank, says: says ?? "nothing" }));
