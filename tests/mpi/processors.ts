/** What ranks have of their machine's processors: a line of JSON a rank. */

import { openComm } from "../../comm/open_comm.ts";
import { processorShare } from "../../comm/processor_share.ts";
import { environment } from "./environment.ts";

await using comm = await openComm("auto", { environment });
console.log(JSON.stringify({ rank: comm.rank, share: await processorShare(comm) }));
