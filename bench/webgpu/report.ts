/** What was found of a device, for people. In: findings. Out: Markdown. */

import type { CallCounts, CopyCounts } from "./call_counter.ts";
import type { Findings } from "./findings.ts";
import type { Repeated } from "./measure_model.ts";
import type { ProductRate } from "./products.ts";

type Row = readonly (string | number)[];

/** A section of the report, by what it is about; nothing where it was not measured. */
export const SECTIONS: Readonly<
  Partial<Record<keyof Findings, (findings: Findings) => string>>
> = {
  driver: ({ driver, software, onnxruntime, threads, tellsNonFinite }) =>
    [
      `${driver}${software ? ", SOFTWARE: it computes on the processor" : ""}`,
      `ONNX Runtime ${onnxruntime}, ${threads} threads; the self-test passed` +
      (tellsNonFinite ? "" : "; graphs cannot tell NaN and infinities"),
    ].join("\n"),
  numbers: ({ numbers }) =>
    table("Largest error against the CPU, over the output's largest", ["graph", "error"], [
      ...numbers!.map(({ graph, error }) => [graph, error?.toExponential(1) ?? "no time left"]),
    ]),
  products: ({ products }) => formatProducts(products!),
  hostCost: ({ hostCost }) => {
    const { microsecondsARun, microsecondsADispatch, uploadRate, downloadRate } = hostCost!;
    return [
      "## What the host pays",
      "",
      `${microsecondsARun.toFixed(0)} µs a run and ${microsecondsADispatch.toFixed(1)} µs a ` +
      "dispatch to queue; copies " +
      `${(uploadRate / 1e9).toFixed(2)} GB/s to the device, ${
        (downloadRate / 1e9).toFixed(2)
      } back`,
    ].join("\n");
  },
  counted: ({ counted }) =>
    table(
      "Calls of an update of 2,048 tokens and of a token, in a small model of Qwen3-0.6B's 28 layers " +
        "(dispatches are nodes of the graphs without Reshape, Unsqueeze, Squeeze and Flatten)",
      ["", ...CALLS],
      counted!.map((each) => [nameOf(each), ...formatCalls(each.calls)]),
    ),
  calculated: ({ calculated }) => {
    const {
      tokens,
      dispatches,
      runs,
      hostSeconds,
      productSeconds,
      flops,
      flopsPerSecond,
      percent,
    } = calculated!;
    return `Calculated for Qwen3-0.6B, ${grouped(tokens)} tokens an update: ${
      grouped(dispatches)
    } dispatches in ${grouped(runs)} runs take the host ${
      milliseconds(hostSeconds)
    } to queue; its ` +
      `products of ${(flops / 1e12).toFixed(1)} TFLOP take ${milliseconds(productSeconds)} at ` +
      `${(flopsPerSecond / 1e12).toFixed(0)} TFLOP/s: ${percent.toFixed(1)} %`;
  },
  measured: ({ measured, skipped }) => formatMeasured(measured, skipped),
};

/** Each product on the devices, and how many times the CPU's rate the other has. */
function formatProducts(products: readonly ProductRate[]): string {
  const byProduct = Map.groupBy(products, ({ product }) => product);
  const rows = [...byProduct].map(([product, rates]): Row => {
    const rateOf = (cpu: boolean): number =>
      rates.find(({ device }) => (device === "cpu") === cpu)?.flopsPerSecond ?? NaN;
    const [cpu, other] = [rateOf(true), rateOf(false)];
    const [{ sizes }] = rates;
    return [
      product,
      sizes.join(" × "),
      figure(cpu / 1e9),
      figure(other / 1e9),
      (other / cpu).toFixed(2),
    ];
  });
  const head = ["product", "tokens × outputs × inputs", "CPU GFLOP/s", "webgpu GFLOP/s", "× CPU"];
  return table("Matrix products", head, rows);
}

function formatMeasured(measured: readonly Repeated[], skipped: readonly string[]): string {
  const rows = measured.map((each): Row => {
    const { device, model, tokens, seconds, warm, hostSeconds, what } = each;
    const beside = measured.find((other) =>
      other.device === "cpu" && other.model === model && other.what === what
    );
    const isCpu = device === "cpu";
    return [
      nameOf(each),
      model,
      tokens,
      device,
      figure(tokens / seconds),
      milliseconds(seconds),
      warm || "the first one, with compilation",
      isCpu || !beside ? "" : (beside.seconds / seconds).toFixed(2),
      hostSeconds === undefined ? "" : `${(100 * hostSeconds / seconds).toFixed(0)} %`,
      isCpu ? "" : `${(each.calls.runMilliseconds / seconds / 10).toFixed(0)} %`,
      isCpu ? "" : (1000 * each.calls.runMilliseconds / each.calls.dispatches).toFixed(1),
      ...isCpu ? CALLS.map(() => "") : formatCalls(each.calls),
    ];
  });
  const head = [
    ...["", "model", "tokens", "device", "tokens/s", "time", "warm ones", "× CPU"],
    ...["queued after", "spent in run calls", "µs a dispatch", ...CALLS],
  ];
  return [table("Training and generation", head, rows), ...skipped.map((why) => `Left out: ${why}`)]
    .join("\n\n");
}

const CALLS = ["runs", "dispatches", "bindings", "copies to it", "reads that wait", "copies on it"];

function formatCalls({ runs, dispatches, bindings, ...copies }: CallCounts): string[] {
  const { toDevice, fromDevice, onDevice } = copies;
  const show = ({ copies, bytes }: CopyCounts): string =>
    copies === 0 ? "0" : `${grouped(copies)}, ${(bytes / 1e6).toFixed(2)} MB`;
  return [
    ...[runs, dispatches, bindings].map(grouped),
    ...[toDevice, fromDevice, onDevice].map(show),
  ];
}

function nameOf({ what }: Repeated): string {
  return { full: "full update", lora: "LoRA update", decode: "token" }[what];
}

function table(title: string, head: Row, rows: readonly Row[]): string {
  const lines = [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`);
  return [`## ${title}`, "", ...lines].join("\n");
}

function grouped(count: number): string {
  return Math.round(count).toLocaleString("en");
}

function figure(value: number): string {
  return value >= 100 ? grouped(value) : value.toPrecision(3);
}

function milliseconds(seconds: number): string {
  return `${figure(1000 * seconds)} ms`;
}
