/**
 * Who takes part in a race. In: a method, where it runs, what both sides are told. Out: contenders by
 * name, in the order in which they start.
 */

import type { OrtuneSide } from "./ortune_side.ts";

/** A way of training. */
export type Method = "full" | "lora";

/** What torch_side.py takes. */
export interface TorchSide {
  readonly model: string;
  readonly adapter: string;
  readonly workload: string;
  readonly device: string;
  readonly shape: object;
  readonly seed: number;
  readonly lora: boolean;
  readonly dropout: number;
  readonly threads?: number;
  readonly microRows: number;
  readonly learningRate: number;
  readonly totalSteps: number;
}

/** A contender before it is started. */
export interface Entry {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Whether it takes large updates, and tells where time goes. */
  readonly large: boolean;
  readonly ortune: boolean;
  /** Whether its losses can be compared. */
  readonly comparable: boolean;
}

/** The seed's script and the strong peer. */
export function torchEntries(python: string, script: string, side: TorchSide): Entry[] {
  const entry = (role: string, name: string, large: boolean): Entry => ({
    name,
    command: python,
    args: [script, role, JSON.stringify(side)],
    large,
    ortune: false,
    comparable: true,
  });
  return [
    entry("seed", side.lora ? "train_lora.py (HF Trainer)" : "train.py (HF Trainer)", false),
    entry("packed", "torch, packed", true),
  ];
}

/** ortune's; on the CPU it computes in float32 alone. `script` is the file that runs, or its bundle. */
export function ortuneEntries(
  method: Method,
  { script, cpu, side }: {
    readonly script: string;
    readonly cpu: boolean;
    readonly side: OrtuneSide;
  },
): Entry[] {
  const entry = (name: string, options: Partial<OrtuneSide>, comparable = true): Entry => ({
    name: `ortune ${name}`,
    command: Deno.execPath(),
    args: ["run", "--allow-all", script, "--contender", JSON.stringify({ ...side, ...options })],
    large: true,
    ortune: true,
    comparable,
  });
  if (method === "lora") {
    return [
      entry("no dropout", { adapter: `${side.adapter}-still` }),
      entry("as the seed", {}, false),
      entry("nothing recomputed", { gradientCheckpointing: false }, false),
      ...cpu ? [] : [entry("as the seed, ONNX Runtime alone", { kernels: false }, false)],
    ];
  }
  if (cpu) {
    return [
      entry("fp32", { precision: "fp32" }),
      entry("fp32, nothing recomputed", { precision: "fp32", gradientCheckpointing: false }),
    ];
  }
  return [
    entry("bf16", { precision: "bf16" }),
    entry("bf16-pure", { precision: "bf16-pure" }),
    entry("adamw_bf16", { precision: "bf16", optim: "adamw_bf16" }),
    entry("adamw_bf16, nothing recomputed", {
      precision: "bf16",
      optim: "adamw_bf16",
      gradientCheckpointing: false,
    }),
    entry("bf16, ONNX Runtime alone", { precision: "bf16", kernels: false }),
  ];
}

/**
 * Those whose names match.
 *
 * @throws {RangeError} where none does, with the names that there are
 */
export function chooseEntries(entries: readonly Entry[], only: RegExp): Entry[] {
  const chosen = entries.filter(({ name }) => only.test(name));
  if (chosen.length > 0) return chosen;
  throw new RangeError(
    `Cannot choose contenders: ${only} matches none of ${
      entries.map(({ name }) => JSON.stringify(name)).join(", ")
    }; give --only a regular expression of the names to run`,
  );
}
