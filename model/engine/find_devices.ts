/**
 * What devices a machine has. Each is opened and closed again, one after the other, since only that
 * shows that its libraries, its driver and its numbers are right.
 *
 * In: perhaps ONNX Runtime's library. Out: devices, best first, with the reason where one cannot be
 * used; the one that `auto` stands for.
 *
 * @module
 */

import { cpu, type Device, deviceName, parseDevice } from "../../ort/runtime/device.ts";
import { Runtime, type RuntimeOptions } from "../../ort/runtime/runtime.ts";
import { checkWebGpu, type WebGpuReport } from "./check_webgpu.ts";
import { plural } from "../../internal/plural.ts";

/** What `--device` calls the best device that a machine has. */
export const AUTO = "auto";

/** A device, or the reason why it is none. */
export type FoundDevice =
  & { readonly device: Device }
  & (
    | {
      readonly reason?: undefined;
      /** What it is, in a few words. */
      readonly what: string;
      /** Why `auto` passes it over although it works. */
      readonly passedOver?: string;
      /** What the check of a WebGPU device found, which a runtime on it need not repeat. */
      readonly webgpu?: WebGpuReport;
    }
    | { readonly reason: string }
  );

/** How devices are opened. */
export interface FindDevicesOptions extends Pick<RuntimeOptions, "libraryPath" | "threads"> {
  /** Which kinds are looked at. @default all */
  readonly kinds?: readonly Device["kind"][];
}

/** Devices in the order in which `auto` tries them, each opened when it is asked for; the CPU comes last. */
export function* findDevices(
  { kinds = ["cuda", "webgpu", "cpu"], ...options }: FindDevicesOptions = {},
): Generator<FoundDevice> {
  if (kinds.includes("cuda")) yield* findCuda(options);
  if (kinds.includes("webgpu")) yield attempt({ kind: "webgpu" }, options, describeWebGpu);
  if (!kinds.includes("cpu")) return;
  const threads = options.threads ?? navigator.hardwareConcurrency;
  yield attempt(cpu, options, () => ({ what: `${threads} ${plural(threads, "thread")}` }));
}

function describeWebGpu(runtime: Runtime): Omit<FoundDevice & { reason?: undefined }, "device"> {
  const webgpu = checkWebGpu(runtime);
  const { driver: what, software } = webgpu;
  return software
    ? {
      what,
      webgpu,
      passedOver: "its driver computes on the processor, where device cpu is faster",
    }
    : { what, webgpu };
}

/** Every CUDA device, or why there is none. */
function* findCuda(options: FindDevicesOptions): Generator<FoundDevice> {
  for (let index = 0;; index++) {
    const found = attempt({ kind: "cuda", index }, options, ({ cuda }) => {
      const { total, leastFree } = cuda!.memory();
      return { what: `${gibibytes(total)} of memory, ${gibibytes(leastFree)} free` };
    });
    // Behind the last one there is an index that the machine does not have.
    if (index > 0 && found.reason !== undefined) return;
    yield found;
    if (found.reason !== undefined) return;
  }
}

function attempt(
  device: Device,
  options: FindDevicesOptions,
  describe: (runtime: Runtime) => Omit<FoundDevice & { reason?: undefined }, "device">,
): FoundDevice {
  try {
    using runtime = new Runtime({ ...options, device });
    return { device, ...describe(runtime) };
  } catch (cause) {
    // A command that may not open libraries says so, whatever the device.
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const [message] = (cause as Error).message.split("\n");
    const reason = message.replace(/^Cannot use device [\w:]+: /, "")
      .replace(/[,;] or pass --device cpu.*$/, "");
    return { device, reason };
  }
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** A device, and why it is this one. */
export interface ChosenDevice {
  readonly device: Device;
  /** A line for users; undefined where they named the device themselves. */
  readonly line?: string;
  /** What the check of a WebGPU device found; undefined where none was made. */
  readonly webgpu?: WebGpuReport;
}

/**
 * The device of that name; of `auto` the first of CUDA, WebGPU on hardware, and the CPU.
 *
 * @throws {RangeError} on any other word
 * @throws {Error} where ONNX Runtime cannot be opened at all
 */
export function chooseDevice(name: string, options: FindDevicesOptions = {}): ChosenDevice {
  return name === AUTO ? chooseAmong(findDevices(options)) : { device: parseDevice(name) };
}

/** The first that works and is not passed over; what there is to do about the others is left out. */
export function chooseAmong(found: Iterable<FoundDevice>): ChosenDevice {
  const others: string[] = [];
  for (const each of found) {
    const name = deviceName(each.device);
    if (each.reason === undefined && each.passedOver === undefined) {
      const why = others.length > 0 ? `; not ${others.join("; not ")}` : "";
      const line = `device: ${name} (${each.what})${why}`;
      return { device: each.device, line, ...each.webgpu && { webgpu: each.webgpu } };
    }
    const [reason] = (each.reason ?? each.passedOver ?? "").split("; ");
    others.push(`${name}: ${reason}`);
  }
  throw new Error(`Cannot find a device: not ${others.join("; not ")}`);
}
