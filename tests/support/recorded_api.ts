/**
 * ONNX Runtime's C API without a library: what is called, with what.
 *
 * In: what chosen calls do. Out: an `OrtApi`, and a line a call.
 */

import type { Argument, OrtApi } from "../../ort/runtime/api.ts";

/** A call as it came. */
export interface RecordedCall {
  readonly name: string;
  /** What it was for; of calls without a status nothing. */
  readonly what: string | undefined;
  readonly args: readonly Argument[];
}

/** An API, and its calls. */
export interface RecordedApi {
  readonly api: OrtApi;
  /** Calls since they were last taken. */
  take(): RecordedCall[];
}

/** A pointer that is none, by its number. */
export function fakePointer(address: number | bigint): Deno.PointerObject {
  return Deno.UnsafePointer.create(BigInt(address))!;
}

/**
 * Arguments in words: pointers as `@1f`, texts in quotes, arrays of numbers as such, a list of texts' addresses as
 * texts.
 */
export function wordsOf(args: readonly Argument[]): string[] {
  return args.map((arg) => {
    if (arg instanceof Uint8Array && arg.at(-1) === 0) {
      return JSON.stringify(new TextDecoder().decode(arg.subarray(0, -1)));
    }
    if (arg instanceof BigUint64Array) {
      return `[${
        Array.from(arg, (each) => {
          const pointer = Deno.UnsafePointer.create(each);
          return each > 0xffff_ffffn ? Deno.UnsafePointerView.getCString(pointer!) : each;
        })
      }]`;
    }
    if (ArrayBuffer.isView(arg)) return `[${arg}]`;
    if (typeof arg === "object" && arg !== null) {
      return `@${Deno.UnsafePointer.value(arg as Deno.PointerObject).toString(16)}`;
    }
    return `${arg}`;
  });
}

/** Makes the API; what it makes has numbers that count up from 0x100. */
export function recordedApi(
  does: (call: RecordedCall) => Deno.PointerValue | void = () => {},
  version = "1.30.0",
): RecordedApi {
  const calls: RecordedCall[] = [];
  let made = 0x100;
  const call = (name: string, what: string | undefined, args: readonly Argument[]) => {
    const each = { name, what, args };
    calls.push(each);
    return does(each);
  };
  const api = {
    version,
    stopped: () => undefined,
    call: (name: string, what: string, ...args: Argument[]) => void call(name, what, args),
    create: (name: string, what: string, ...args: Argument[]) =>
      call(name, what, args) ?? fakePointer(made++),
    raw: (name: string, ...args: Argument[]) => call(name, undefined, args),
  };
  return { api: api as unknown as OrtApi, take: () => calls.splice(0) };
}
