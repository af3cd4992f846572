import type { Output } from "../../infer/chat/reply.ts";

const encoder = new TextEncoder();

/** The process's standard output; long text is written whole. */
export function standardOutput(noColor?: boolean): Output {
  const writer = async (text: string) => {
    for (let bytes = encoder.encode(text); bytes.length > 0;) {
      bytes = bytes.subarray(await Deno.stdout.write(bytes));
    }
  };
  return { write: writer, isTty: Deno.stdout.isTerminal(), noColor };
}
