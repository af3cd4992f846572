/**
 * The ONNX Runtime C API by Deno FFI. `OrtGetApiBase()->GetApi(version)` answers a table of
 * function pointers in an order that never changes (onnxruntime_c_api.h: "append only"), so a call
 * is a slot number and a signature.
 *
 * In: a library path. Out: `OrtApi.call`, which turns every OrtStatus into an Error naming the call
 * and what it was for.
 */

type Signature = {
  readonly slot: number;
  readonly parameters: readonly Deno.NativeType[];
  readonly result: Deno.NativeResultType;
};

/** What may be passed to a C function: a pointer, memory, or a number. */
export type Argument = Deno.PointerValue | BufferSource | number | bigint | boolean;

// The table version asked for: the oldest that has every slot below, so older libraries still work.
const API_VERSION = 22;
const OLDEST_RELEASE = "1.22";

/** A function of the C API that ortune calls. */
export type ApiCall =
  | "GetErrorMessage"
  | "ReleaseStatus"
  | "CreateSession"
  | "CreateSessionFromArray"
  | "CreateSessionOptions"
  | "CloneSessionOptions"
  | "DisableMemPattern"
  | "SetSessionGraphOptimizationLevel"
  | "SessionGetInputCount"
  | "SessionGetOutputCount"
  | "SessionGetInputName"
  | "SessionGetOutputName"
  | "CreateTensorAsOrtValue"
  | "CreateTensorWithDataAsOrtValue"
  | "GetTensorMutableData"
  | "CreateCpuMemoryInfo"
  | "AllocatorFree"
  | "GetAllocatorWithDefaultOptions"
  | "ReleaseEnv"
  | "ReleaseMemoryInfo"
  | "ReleaseSession"
  | "ReleaseValue"
  | "ReleaseSessionOptions"
  | "CreateEnvWithGlobalThreadPools"
  | "DisablePerSessionThreads"
  | "CreateThreadingOptions"
  | "ReleaseThreadingOptions"
  | "AddSessionConfigEntry"
  | "AddInitializer"
  | "RunWithBinding"
  | "CreateIoBinding"
  | "ReleaseIoBinding"
  | "BindInput"
  | "BindOutput"
  | "CreateAndRegisterAllocator"
  | "SetGlobalIntraOpNumThreads"
  | "SetGlobalSpinControl"
  | "SetGlobalDenormalAsZero"
  | "ReleaseArenaCfg"
  | "CreateArenaCfgV2"
  | "CreateMemoryInfo"
  | "CreateRunOptions"
  | "ReleaseRunOptions"
  | "AddRunConfigEntry"
  | "SessionOptionsAppendExecutionProvider_CUDA_V2"
  | "CreateCUDAProviderOptions"
  | "UpdateCUDAProviderOptions"
  | "ReleaseCUDAProviderOptions"
  | "CreateAndRegisterAllocatorV2"
  | "CreateAllocator"
  | "ReleaseAllocator"
  | "CreateEnvWithCustomLoggerAndGlobalThreadPools"
  | "SessionOptionsAppendExecutionProvider"
  | "SetDeterministicCompute"
  | "CopyTensors";

const status = (slot: number, ...parameters: Deno.NativeType[]): Signature => ({
  slot,
  parameters,
  result: "pointer",
});
const release = (slot: number): Signature => ({ slot, parameters: ["pointer"], result: "void" });

const SIGNATURES: Readonly<Record<ApiCall, Signature>> = {
  GetErrorMessage: { slot: 2, parameters: ["pointer"], result: "pointer" },
  ReleaseStatus: release(93),
  CreateSession: status(7, "pointer", "buffer", "pointer", "buffer"),
  CreateSessionFromArray: status(8, "pointer", "buffer", "usize", "pointer", "buffer"),
  CreateSessionOptions: status(10, "buffer"),
  CloneSessionOptions: status(12, "pointer", "buffer"),
  DisableMemPattern: status(17, "pointer"),
  SetSessionGraphOptimizationLevel: status(23, "pointer", "i32"),
  SessionGetInputCount: status(30, "pointer", "buffer"),
  SessionGetOutputCount: status(31, "pointer", "buffer"),
  SessionGetInputName: status(36, "pointer", "usize", "pointer", "buffer"),
  SessionGetOutputName: status(37, "pointer", "usize", "pointer", "buffer"),
  CreateTensorAsOrtValue: status(48, "pointer", "buffer", "usize", "i32", "buffer"),
  CreateTensorWithDataAsOrtValue: status(
    49,
    "pointer",
    "pointer",
    "usize",
    "buffer",
    "usize",
    "i32",
    "buffer",
  ),
  GetTensorMutableData: status(51, "pointer", "buffer"),
  CreateCpuMemoryInfo: status(69, "i32", "i32", "buffer"),
  AllocatorFree: status(76, "pointer", "pointer"),
  GetAllocatorWithDefaultOptions: status(78, "buffer"),
  ReleaseEnv: release(92),
  ReleaseMemoryInfo: release(94),
  ReleaseSession: release(95),
  ReleaseValue: release(96),
  ReleaseSessionOptions: release(100),
  CreateEnvWithGlobalThreadPools: status(119, "i32", "buffer", "pointer", "buffer"),
  DisablePerSessionThreads: status(120, "pointer"),
  CreateThreadingOptions: status(121, "buffer"),
  ReleaseThreadingOptions: release(122),
  AddSessionConfigEntry: status(130, "pointer", "buffer", "buffer"),
  AddInitializer: status(150, "pointer", "buffer", "pointer"),
  RunWithBinding: status(133, "pointer", "pointer", "pointer"),
  CreateIoBinding: status(134, "pointer", "buffer"),
  ReleaseIoBinding: release(135),
  BindInput: status(136, "pointer", "buffer", "pointer"),
  BindOutput: status(137, "pointer", "buffer", "pointer"),
  CreateAndRegisterAllocator: status(144, "pointer", "pointer", "pointer"),
  SetGlobalIntraOpNumThreads: status(147, "pointer", "i32"),
  SetGlobalSpinControl: status(149, "pointer", "i32"),
  SetGlobalDenormalAsZero: status(155, "pointer"),
  ReleaseArenaCfg: release(157),
  CreateArenaCfgV2: status(164, "buffer", "buffer", "usize", "buffer"),
  CreateMemoryInfo: status(68, "buffer", "i32", "i32", "i32", "buffer"),
  CreateRunOptions: status(39, "buffer"),
  ReleaseRunOptions: release(97),
  AddRunConfigEntry: status(165, "pointer", "buffer", "buffer"),
  SessionOptionsAppendExecutionProvider_CUDA_V2: status(204, "pointer", "pointer"),
  CreateCUDAProviderOptions: status(205, "buffer"),
  UpdateCUDAProviderOptions: status(206, "pointer", "buffer", "buffer", "usize"),
  ReleaseCUDAProviderOptions: release(208),
  CreateAndRegisterAllocatorV2: status(
    259,
    "pointer",
    "buffer",
    "pointer",
    "pointer",
    "buffer",
    "buffer",
    "usize",
  ),
  CreateAllocator: status(131, "pointer", "pointer", "buffer"),
  ReleaseAllocator: release(132),
  CreateEnvWithCustomLoggerAndGlobalThreadPools: status(
    151,
    "function",
    "pointer",
    "i32",
    "buffer",
    "pointer",
    "buffer",
  ),
  SessionOptionsAppendExecutionProvider: status(
    216,
    "pointer",
    "buffer",
    "buffer",
    "buffer",
    "usize",
  ),
  SetDeterministicCompute: status(273, "pointer", "bool"),
  // Newer than API_VERSION: `appendWebGpuProvider` asks for a library that has it.
  CopyTensors: status(386, "pointer", "buffer", "buffer", "pointer", "usize"),
};

const encoder = new TextEncoder();

/** A NUL-terminated C string. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text + "\0");
}

/** Eight zeroed bytes for a C out parameter, and the pointer or number read back from them. */
export class OutParameter {
  /** The memory that the call writes into. */
  readonly bytes: BigUint64Array<ArrayBuffer> = new BigUint64Array(1);
  /** What was written, as an address. */
  get address(): bigint {
    return this.bytes[0];
  }
  /** What was written, as a pointer. */
  get pointer(): Deno.PointerValue {
    return Deno.UnsafePointer.create(this.bytes[0]);
  }
}

/** Strings for a C function that takes `const char* const*`; they live as long as this does. */
export class StringArray {
  /** The pointers. */
  readonly bytes: BigUint64Array<ArrayBuffer>;
  readonly #strings: readonly Uint8Array<ArrayBuffer>[];

  /** Copies the strings, each with a NUL at its end. */
  constructor(strings: readonly string[]) {
    this.#strings = strings.map(cString);
    this.bytes = BigUint64Array.from(
      this.#strings,
      (each) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(each)),
    );
  }
}

type NativeCall = (...args: Argument[]) => unknown;

/** The function whose pointer is number `slot` in a struct of function pointers. */
function functionAt(
  struct: Deno.UnsafePointerView,
  slot: number,
  parameters: readonly Deno.NativeType[],
  result: Deno.NativeResultType,
): NativeCall {
  const pointer = struct.getPointer(slot * 8) as Deno.PointerObject<Deno.ForeignFunction>;
  const native = new Deno.UnsafeFnPointer(pointer, { parameters, result });
  return native.call.bind(native) as NativeCall;
}

/** The function table of one opened library. */
export class OrtApi {
  /** The release of the library, such as `1.30.0`. */
  readonly version: string;
  readonly #table: Deno.UnsafePointerView;
  readonly #functions = new Map<ApiCall, NativeCall>();
  /**
   * Why nothing may be called any more, once that may end the process: calls throw it from then on,
   * and nothing is released.
   * @default always undefined
   */
  stopped: () => string | undefined = () => undefined;

  /** Wraps an OrtApi table; {@linkcode openApi} finds one. */
  constructor(table: Deno.PointerObject, version: string) {
    this.#table = new Deno.UnsafePointerView(table);
    this.version = version;
  }

  /** Calls a function that answers an OrtStatus; `what` says in an error what it was for. */
  call(name: ApiCall, what: string, ...args: Argument[]): void {
    const stopped = this.stopped();
    if (stopped !== undefined) throw new Error(`Cannot ${what}: ${stopped}`);
    const failed = this.raw(name, ...args) as Deno.PointerValue;
    if (failed === null) return;
    const message = this.raw("GetErrorMessage", failed) as Deno.PointerObject;
    const text = Deno.UnsafePointerView.getCString(message);
    this.raw("ReleaseStatus", failed);
    throw new Error(`Cannot ${what}: ONNX Runtime's ${name} says: ${text}`);
  }

  /** Calls a function that makes one thing and answers it in its last parameter. */
  create(name: ApiCall, what: string, ...args: Argument[]): Deno.PointerObject {
    const out = new OutParameter();
    this.call(name, what, ...args, out.bytes);
    return out.pointer!;
  }

  /** Calls a function whose answer is not a status. */
  raw(name: ApiCall, ...args: Argument[]): unknown {
    if (this.stopped() !== undefined) return null;
    let call = this.#functions.get(name);
    if (!call) {
      const { slot, parameters, result } = SIGNATURES[name];
      call = functionAt(this.#table, slot, parameters, result);
      this.#functions.set(name, call);
    }
    return call(...args);
  }
}

type OrtLibrary = Deno.DynamicLibrary<{ OrtGetApiBase: { parameters: []; result: "pointer" } }>;

/** Libraries by their paths: each is opened once, however many runtimes there are. */
const LIBRARIES = new Map<string, OrtLibrary>();

/**
 * Opens the library and gets its function table. It stays open until the process ends: unloading
 * a library that owns threads is not safe.
 *
 * @throws {Error} one line that says what to do, where the library or a permission is missing or
 *   the library is too old
 */
export function openApi(path: string): OrtApi {
  let library = LIBRARIES.get(path);
  try {
    library ??= Deno.dlopen(path, { OrtGetApiBase: { parameters: [], result: "pointer" } });
    LIBRARIES.set(path, library);
  } catch (cause) {
    throw cause instanceof Deno.errors.NotCapable ? missingPermission(cause) : new Error(
      `Cannot open ONNX Runtime at ${path}: ${(cause as Error).message}; reinstall with ` +
        "`deno install`, or set ORTUNE_ORT_LIB to the path of libonnxruntime",
      { cause },
    );
  }
  try {
    const base = new Deno.UnsafePointerView(library.symbols.OrtGetApiBase()!);
    // struct OrtApiBase { const OrtApi* (*GetApi)(uint32_t); const char* (*GetVersionString)(); }
    const getApi = functionAt(base, 0, ["u32"], "pointer");
    const getVersion = functionAt(base, 1, [], "pointer");
    const version = Deno.UnsafePointerView.getCString(getVersion() as Deno.PointerObject);
    // A library older than the version asked for answers NULL (and says so on stderr).
    const table = getApi(API_VERSION) as Deno.PointerValue;
    if (!table) {
      throw new Error(
        `Cannot use ONNX Runtime ${version} at ${path}: ortune needs ${OLDEST_RELEASE} or newer; ` +
          "unset ORTUNE_ORT_LIB to use the one from npm:onnxruntime-node",
      );
    }
    return new OrtApi(table, version);
  } catch (cause) {
    throw cause instanceof Deno.errors.NotCapable ? missingPermission(cause) : cause;
  }
}

function missingPermission(cause: Error): Error {
  return new Error(
    "Cannot call ONNX Runtime: native code needs --allow-ffi without a path (Deno refuses function " +
      "pointers under --allow-ffi=PATH); add --allow-ffi to the command",
    { cause },
  );
}

/** Reads a name that ONNX Runtime allocated, and frees it. */
export function takeString(
  api: OrtApi,
  allocator: Deno.PointerObject,
  name: OutParameter,
): string {
  const text = Deno.UnsafePointerView.getCString(name.pointer!);
  api.call("AllocatorFree", "free a name", allocator, name.pointer);
  return text;
}
