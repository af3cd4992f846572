/** curl: a stream as plain server-sent events, read line by line. */

import { execFileSync } from "node:child_process";
import { check, done, equal, facts, server } from "./client.ts";

const [asked] = facts.replies;
const body = { model: server.model, messages: asked.messages, temperature: 0, stream: true };
const said = execFileSync("curl", [
  ...["--silent", "--show-error", "--no-buffer", "--include"],
  ...["--header", "content-type: application/json", "--data", JSON.stringify(body)],
  `${server.url}/v1/chat/completions`,
], { encoding: "utf8" });
const [head, ...rest] = said.split("\r\n\r\n");
check("content-type", /\r\ncontent-type: text\/event-stream/i.test(head), head.split("\r\n")[0]);
const lines = rest.join("\r\n\r\n").split("\n").filter((line) => line !== "");
const strange = lines.filter((line) => !line.startsWith("data: ") && !line.startsWith(":"));
equal("lines that are no event", strange, []);
const events = lines.flatMap((line) =>
  line.startsWith("data: ") ? [line.slice("data: ".length)] : []
);
equal("last event", events.pop(), "[DONE]");
const deltas = events.map((event) => JSON.parse(event).choices[0]?.delta ?? {});
const text = (name: string) => deltas.map((delta) => delta[name] ?? "").join("");
equal("text", [text("reasoning_content"), text("content")], [asked.think, asked.answer]);
done(execFileSync("curl", ["--version"], { encoding: "utf8" }).split(" ")[1]);
