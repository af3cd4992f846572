/**
 * What ONNX Runtime logs, as messages to ask for. A WebGPU device tells of failed allocations and
 * copies, and of its loss, nowhere else.
 */

/** Collects the messages of the process's ONNX Runtime environment. */
export class DeviceLog {
  /** Why the process's WebGPU device may not be used any more; set once, when it has failed. */
  failure: string | undefined;
  readonly #messages: string[] = [];
  // OrtLoggingFunction of onnxruntime_c_api.h: param, severity, category, logid, location, message.
  readonly #callback = new Deno.UnsafeCallback(
    {
      parameters: ["pointer", "i32", "pointer", "pointer", "pointer", "pointer"],
      result: "void",
    },
    (_param, _severity, _category, _id, _location, message) => {
      if (message !== null) this.#messages.push(Deno.UnsafePointerView.getCString(message));
    },
  );

  /** The OrtLoggingFunction. */
  get pointer(): Deno.PointerObject {
    return this.#callback.pointer;
  }

  /** The messages since the last call. */
  take(): string[] {
    return this.#messages.splice(0);
  }
}

let log: DeviceLog | undefined;

/** The log of this thread, made once: the environment may call it until the process ends. */
export function deviceLog(): DeviceLog {
  return log ??= new DeviceLog();
}
