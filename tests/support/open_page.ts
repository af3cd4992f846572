/**
 * A page in a real browser. In: an address and a folder for the browser's profile. Out: what
 * expressions in the page come to.
 */

import assert from "node:assert/strict";
import { CHROMIUM } from "./chromium.ts";

/** A page that is open. */
export interface Page extends AsyncDisposable {
  /** The value of an expression in the page. */
  evaluate(expression: string): Promise<unknown>;
  /** Waits until an expression is true. @param seconds for how long, 20 where not given */
  until(expression: string, seconds?: number): Promise<void>;
}

/** What the browser answers to an expression. */
interface Answer {
  readonly result?: { readonly result: { readonly value?: unknown } };
}

/** Opens a page in a browser, spoken to by the DevTools protocol. */
export async function openPage(url: string, profile: string): Promise<Page> {
  const child = new Deno.Command(CHROMIUM!, {
    args: [
      ...["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
      ...["--remote-debugging-port=0", `--user-data-dir=${profile}/chromium`, url],
    ],
    stderr: "piped",
    stdout: "null",
  }).spawn();
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let port: string | undefined;
  while (port === undefined) {
    const { value, done } = await reader.read();
    assert.ok(!done, `the browser ended: ${text}`);
    text += value;
    port = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//.exec(text)?.[1];
  }
  // What it still says is read, so that it is not stopped by a full pipe.
  const drained = (async () => {
    while (!(await reader.read()).done);
  })();
  const targets: readonly { readonly type: string; readonly webSocketDebuggerUrl: string }[] =
    await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const socket = new WebSocket(targets.find(({ type }) => type === "page")!.webSocketDebuggerUrl);
  await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
  let calls = 0;
  const evaluate = async (expression: string): Promise<unknown> => {
    const id = ++calls;
    const params = { expression, returnByValue: true };
    const answer = new Promise<Answer>((resolve) => {
      const listen = ({ data }: MessageEvent<string>): void => {
        const message = JSON.parse(data);
        if (message.id !== id) return;
        socket.removeEventListener("message", listen);
        resolve(message);
      };
      socket.addEventListener("message", listen);
    });
    socket.send(JSON.stringify({ id, method: "Runtime.evaluate", params }));
    // No result: the page went over to another document meanwhile.
    return (await answer).result?.result.value;
  };
  return {
    evaluate,
    async until(expression: string, seconds = 20): Promise<void> {
      const deadline = performance.now() + seconds * 1000;
      while (await evaluate(expression) !== true) {
        assert.ok(performance.now() < deadline, `never true: ${expression}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      const closed = new Promise((resolve) =>
        socket.addEventListener("close", resolve, { once: true })
      );
      socket.close();
      await closed;
      child.kill("SIGTERM");
      await child.status;
      await drained;
    },
  };
}
