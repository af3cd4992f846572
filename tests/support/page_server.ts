/** A page of one word that tells its port. In: the deadline of headers, and whether the handler fails. */

import { servePage } from "../../cli/process/serve_page.ts";

const [headersDeadline, port = "0", fails] = Deno.args;
const ended = new AbortController();
Deno.addSignalListener("SIGINT", () => ended.abort());
await servePage(() => {
  if (fails) throw new Error("no such run");
  return new Response("here");
}, {
  port: Number(port),
  signal: ended.signal,
  onListen: (port) => console.log(`port ${port}.`),
  failed: "Cannot show it",
  headersDeadline: Number(headersDeadline),
});
console.log("ended");
