import assert from "node:assert/strict";
import { cpu, parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { VULKAN_LOADER, type VulkanAdapter, vulkanAdapters } from "../../ort/runtime/vulkan.ts";
import { adoptReport, checkDevice, checkWebGpu, describeWebGpu } from "./check_webgpu.ts";
import { CompiledGraph } from "./compiled_graph.ts";

/** What is checked, in order: names, inputs, outputs and which output stands in place of which input. */
const CHECKS: readonly (readonly [string, string, string, string])[] = [
  ["a product of matrices", "x float32 70,130; w float32 66,130", "y 70,66", ""],
  ["RMSNorm", "x float32 33,130; w float32 130", "y 33,130; inv_std 33,1", ""],
  [
    "a sum in place",
    "x float32 40,50; w float32 30,50; sum float32 40,30",
    ...["sum_new 40,30", "sum_new sum"] as const,
  ],
  [
    "rows added in place",
    "x float32 9,40; rows float32 4,40",
    ...["x_new 9,40", "x_new x"] as const,
  ],
  [
    "attention of 64 tokens",
    "q float32 1,2,64,16; k float32 1,2,64,16; v float32 1,2,64,16",
    ...["y 1,2,64,16", ""] as const,
  ],
];
const FLOAT16 = [
  "a product with float16 weights",
  "x float32 70,130; w float16 66,130",
  ...["y 70,66", ""] as const,
] as const;
const QUANTIZED = [4, 8].map((bits) => [
  `products with weights in ${bits} bits`,
  `x float32 70,130; dy float32 70,66; data uint8 66,5,${4 * bits}; scales float32 66,5`,
  "y 70,66; dx 70,160",
  "",
]);
const FINITE = ["finite", "x float32 8", "finite 8", ""] as const;

/** What the device is let make of a graph's outputs. */
type Change = (name: string, outputs: readonly Float32Array[], time: number) => void;

/**
 * Checks a runtime of its own, on a device that computes as the CPU does but for what `change` makes of it. Of two runs
 * of a check the second is the device's; "finite" is run there alone.
 */
function checkWith<T>(
  change: Change,
  use: (runtime: Runtime, ran: readonly (readonly string[])[]) => T,
): T {
  const { run } = CompiledGraph.prototype;
  const times = new Map<string, number>();
  const ran: string[][] = [];
  CompiledGraph.prototype.run = function (tensors, symbols) {
    run.call(this, tensors, symbols);
    const { name, inputs, outputs, aliases } = this.graph;
    const time = (times.get(name) ?? 0) + 1;
    times.set(name, time);
    if (name !== "finite" && time % 2 === 1) {
      ran.push([
        name,
        inputs.map((each) => `${each.name} ${each.dtype} ${each.shape}`).join("; "),
        outputs.map((each) => `${each.name} ${each.shape}`).join("; "),
        [...aliases].flat().join(" "),
      ]);
      return;
    }
    if (name === "finite") ran.push([...FINITE]);
    change(
      name,
      outputs.map((each) => tensors[each.name].float32()),
      name === "finite" ? time : time / 2,
    );
  };
  try {
    using runtime = new Runtime({ threads: 1 });
    return use(runtime, ran);
  } finally {
    CompiledGraph.prototype.run = run;
  }
}

const nothing: Change = () => {};

/** The machine's drivers; undefined where Vulkan's loader, which is asked for them, is not there. */
function findAdapters(): readonly VulkanAdapter[] | undefined {
  const loader = VULKAN_LOADER[Deno.build.os];
  if (loader === undefined) return [];
  try {
    return vulkanAdapters(loader);
  } catch {
    return undefined;
  }
}

const found = findAdapters();
const ignore = found === undefined;
const adapters = found ?? [];
/** What the machine's drivers are called, and whether all of them compute on the processor. */
const drivers = {
  driver: adapters.length === 0
    ? "the system's driver"
    : adapters.map(({ name, driver }) => `${name}, driver ${driver}`).join(" or "),
  software: adapters.length > 0 && adapters.every(({ software }) => software),
};

/** Changes the last number by a share of the largest. */
function makeWrong(values: Float32Array, share: number): void {
  const largest = values.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  values[values.length - 1] += share * largest;
}

Deno.test("a device that computes rightly passes, and is checked once", { ignore }, () => {
  checkWith(nothing, (runtime, ran) => {
    const report = checkWebGpu(runtime);
    assert.deepEqual(report, { ...drivers, writesInPlace: true, tellsNonFinite: true });
    assert.deepEqual(ran, [...CHECKS, FINITE]);
    assert.equal(checkWebGpu(runtime), report);
    assert.equal(ran.length, 6);
    // What is asked for besides is checked then.
    assert.equal(checkWebGpu(runtime, { float16: true }), report);
    assert.deepEqual(ran.slice(6), [FLOAT16]);
    assert.equal(checkWebGpu(runtime, { quantized: true }), report);
    assert.deepEqual(ran.slice(7), QUANTIZED);
  });
  checkWith(nothing, (runtime, ran) => {
    checkWebGpu(runtime, { float16: true, quantized: true });
    assert.deepEqual(ran, [...CHECKS, FLOAT16, ...QUANTIZED, FINITE]);
  });
});

Deno.test("a device that gets any number of a check wrong is named, with how wrong it is", {
  ignore,
}, () => {
  for (const [name, , outputs] of [...CHECKS, FLOAT16, ...QUANTIZED]) {
    for (let output = 0; output < outputs.split("; ").length; output++) {
      const wrong: Change = (graph, values) => {
        if (graph === name) makeWrong(values[output], -2e-3);
      };
      checkWith(wrong, (runtime) => {
        const known = { ...drivers, writesInPlace: false, tellsNonFinite: true };
        if (!CHECKS.some(([check]) => check === name)) adoptReport(runtime, known);
        assert.throws(() => checkWebGpu(runtime, { float16: true, quantized: true }), {
          message:
            `Cannot use device cpu: ${drivers.driver} computes ${name} wrongly (2.0e-3 of the ` +
            "largest); update the driver, or pass --device cpu",
        });
      });
    }
  }
  const right: Change = (_, values) => values.forEach((each) => makeWrong(each, 0.9e-4));
  checkWith(right, (runtime) => checkWebGpu(runtime, { float16: true, quantized: true }));
  checkWith(
    (_, [values]) => void (values[3] = NaN),
    (runtime) =>
      assert.throws(() => checkWebGpu(runtime), /computes a product of matrices wrongly \(NaN/),
  );
});

Deno.test("a device that refuses a check is named, with what it says", { ignore }, () => {
  const cause = new Error("no such thing");
  const refuse: Change = (name) => {
    if (name === "RMSNorm") throw cause;
  };
  checkWith(refuse, (runtime) =>
    assert.throws(() => checkWebGpu(runtime), {
      message: `Cannot use device webgpu: ${drivers.driver} refuses RMSNorm: no such thing`,
      cause,
    }));
});

Deno.test("a device that writes no output in place is used without", { ignore }, () => {
  for (const check of ["a sum in place", "rows added in place"]) {
    const once: Change = (name, [values], time) => {
      if (name === check && time === 1) values[0] += 100;
    };
    checkWith(once, (runtime, ran) => {
      assert.deepEqual(checkWebGpu(runtime), {
        ...{ ...drivers, writesInPlace: false, tellsNonFinite: true },
      });
      assert.equal(runtime.writesInPlace, false);
      assert.equal(ran.filter(([name]) => name === check).length, 2);
    });
    // Without an output in place there is nothing to do about it; neither is there a second time.
    const ever: Change = (name, [values]) => {
      if (name === check) values[0] += 100;
    };
    checkWith(ever, (runtime) => assert.throws(() => checkWebGpu(runtime), new RegExp(check)));
  }
  const once: Change = (name, [values], time) => {
    if (name === "RMSNorm" && time === 1) values[0] += 100;
  };
  checkWith(once, (runtime) => {
    assert.throws(() => checkWebGpu(runtime), /computes RMSNorm wrongly/);
    assert.equal(runtime.writesInPlace, true);
  });
});

Deno.test(
  "a device that cannot tell NaN or infinities is used with the host's look",
  { ignore },
  () => {
    // NaN, ∞ and −∞ come first, then numbers.
    for (const at of [0, 1, 2, 4]) {
      const change: Change = (name, [values]) => {
        if (name === "finite") values[at] = 1 - values[at];
      };
      checkWith(change, (runtime) => {
        assert.equal(checkWebGpu(runtime).tellsNonFinite, false);
        assert.equal(runtime.tellsNonFinite, false);
      });
    }
  },
);

Deno.test("a report is taken over by another runtime", () => {
  const report = {
    ...{ driver: "GPU X, driver 1", software: true, writesInPlace: false, tellsNonFinite: false },
  };
  checkWith(nothing, (runtime, ran) => {
    adoptReport(runtime, report);
    assert.deepEqual([runtime.writesInPlace, runtime.tellsNonFinite], [false, false]);
    assert.equal(checkWebGpu(runtime), report);
    assert.deepEqual(ran, []);
  });
});

Deno.test("a device that needs no check is not checked", () => {
  checkWith(nothing, (runtime, ran) => {
    assert.equal(checkDevice(runtime), undefined);
    assert.deepEqual(ran, []);
  });
  const report = { driver: "X", software: false, writesInPlace: true, tellsNonFinite: true };
  const webgpu = { device: parseDevice("webgpu") } as Runtime;
  adoptReport(webgpu, report);
  assert.equal(checkDevice(webgpu), report);
  assert.equal(checkDevice({ device: cpu } as Runtime), undefined);
});

Deno.test("one line says what computes, and what it does not do", () => {
  const report = { driver: "GPU X, driver 1", software: false };
  const copied = "; it writes no output in place of an input, so such outputs are copied";
  const looked = "; it cannot tell NaN, so the host looks at each update before it is made";
  for (const writesInPlace of [true, false]) {
    for (const tellsNonFinite of [true, false]) {
      const end = (writesInPlace ? "" : copied) + (tellsNonFinite ? "" : looked);
      const flags = { writesInPlace, tellsNonFinite };
      assert.equal(describeWebGpu({ ...report, ...flags }), `webgpu: GPU X, driver 1${end}`);
      assert.equal(
        describeWebGpu({ ...report, ...flags, software: true }),
        `webgpu: GPU X, driver 1, on the processor${end}`,
      );
    }
  }
});
