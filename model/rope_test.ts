import assert from "node:assert/strict";
import { LLAMA3_2_1B, QWEN3_0_6B, SMOLLM2_135M } from "../tests/support/model_configs.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { parseConfig } from "./config.ts";
import { readConfigFixture } from "../tests/support/config_fixture.ts";
import type { Rope, YarnRopeScaling } from "./parts/rope_settings.ts";
import { attentionFactor, inverseFrequencies, positionTables, ropeTables } from "./rope.ts";

interface Reference {
  readonly json: Readonly<Record<string, unknown>>;
  /** Lane and inverse frequency. */
  readonly frequencies: readonly (readonly [lane: number, value: number])[];
  readonly angles: readonly (readonly [position: number, lane: number, cos: number, sin: number])[];
}

// From transformers 4.57.6 and torch 2.13, where LANES are those below and a config is
// Qwen3Config(head_dim=128, rope_theta=1e6) and so on:
//   rope = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(config)
//   [(i, float(rope.inv_freq[i])) for i in LANES]
//   cos, sin = rope(torch.zeros(1, 1, 1), torch.tensor([[0, 1, 5, 100, 2047, 8191]]))
// Llama 3.2's lanes 0 to 14 keep their frequency, 15 to 17 lie between, from 18 on it is divided.
const references: Readonly<Record<string, Reference>> = {
  "Qwen3-0.6B": {
    json: QWEN3_0_6B,
    frequencies: [
      [0, 1.0],
      [1, 0.8058422207832336],
      [7, 0.22067339718341827],
      [31, 0.0012409378541633487],
      [63, 1.2409377632138785e-06],
    ],
    angles: [
      [0, 1, 1.0, 0.0],
      [0, 7, 1.0, 0.0],
      [0, 31, 1.0, 0.0],
      [1, 1, 0.6925038695335388, 0.7214141488075256],
      [1, 7, 0.9757502675056458, 0.21888674795627594],
      [1, 31, 0.9999992251396179, 0.0012409375049173832],
      [5, 1, -0.6312609314918518, -0.7755705118179321],
      [5, 7, 0.45059287548065186, 0.8927295207977295],
      [5, 31, 0.9999807476997375, 0.006204649806022644],
      [100, 1, 0.45610031485557556, -0.88992840051651],
      [100, 7, -0.9970989227294922, -0.07611667364835739],
      [100, 31, 0.9923102259635925, 0.12377554178237915],
      [2047, 1, -0.9752519130706787, -0.22109673917293549],
      [2047, 7, 0.78326416015625, -0.6216890811920166],
      [2047, 31, -0.8245483040809631, 0.5657915472984314],
      [8191, 1, -0.985980749130249, -0.16685925424098969],
      [8191, 7, -0.4356907308101654, -0.9000964164733887],
      [8191, 31, -0.7386410236358643, -0.6740989685058594],
    ],
  },
  "Llama-3.2-1B": {
    json: LLAMA3_2_1B,
    frequencies: [
      [0, 1.0],
      [1, 0.663601279258728],
      [12, 0.00729266507551074],
      [14, 0.0032114461064338684],
      [15, 0.0012905480107292533],
      [16, 0.000429556705057621],
      [17, 9.708286233944818e-05],
      [18, 1.9461638657958247e-05],
      [20, 8.570255886297673e-06],
      [31, 9.418306490260875e-08],
    ],
    angles: [
      [0, 1, 1.0, 0.0],
      [0, 12, 1.0, 0.0],
      [0, 14, 1.0, 0.0],
      [1, 1, 0.7877790927886963, 0.6159578561782837],
      [1, 12, 0.9999734163284302, 0.0072926003485918045],
      [1, 14, 0.9999948740005493, 0.0032114405184984207],
      [5, 1, -0.9844793677330017, -0.17550022900104523],
      [5, 12, 0.9993352890014648, 0.036455243825912476],
      [5, 14, 0.9998710751533508, 0.016056541353464127],
      [100, 1, -0.926164448261261, -0.37711986899375916],
      [100, 12, 0.7456633448600769, 0.6663228869438171],
      [100, 14, 0.9488747715950012, 0.31565284729003906],
      [2047, 1, 0.34005650877952576, 0.940405011177063],
      [2047, 12, -0.7109993696212769, 0.7031926512718201],
      [2047, 14, 0.9580593109130859, 0.28657007217407227],
      [8191, 1, 0.8237429857254028, 0.5669633746147156],
      [8191, 12, -0.9990339875221252, -0.04394402354955673],
      [8191, 14, 0.3881128430366516, 0.9216118454933167],
    ],
  },
  "SmolLM2-135M": {
    json: SMOLLM2_135M,
    frequencies: [
      [0, 1.0],
      [1, 0.6978305578231812],
      [5, 0.16548170149326324],
      [31, 1.4330126759887207e-05],
    ],
    angles: [
      [0, 1, 1.0, 0.0],
      [0, 5, 1.0, 0.0],
      [0, 31, 1.0, 0.0],
      [1, 1, 0.7662379741668701, 0.64255690574646],
      [1, 5, 0.9863390922546387, 0.16472746431827545],
      [1, 31, 1.0, 1.4330126759887207e-05],
      [5, 1, -0.9402065277099609, -0.3406049609184265],
      [5, 5, 0.6767858266830444, 0.7361799478530884],
      [5, 31, 1.0, 7.165063288994133e-05],
      [100, 1, 0.7850497961044312, 0.6194326281547546],
      [100, 5, -0.6673088073730469, -0.7447811365127563],
      [100, 31, 0.9999989867210388, 0.0014330121921375394],
      [2047, 1, -0.568963885307312, 0.82236248254776],
      [2047, 5, 0.8520125150680542, -0.5235214233398438],
      [2047, 31, 0.9995697736740112, 0.029329564422369003],
      [8191, 1, -0.19637291133403778, -0.9805293083190918],
      [8191, 5, -0.13623376190662384, -0.9906767010688782],
      [8191, 31, 0.9931191205978394, 0.11710872501134872],
    ],
  },
};

// Measured: 8.7e-8 (of heads of 96, and 7.5e-8 where Llama 3's scaling interpolates; else 0), and 6e-8.
const FREQUENCY_RELATIVE = 1.2e-7;
const TABLE_ABSOLUTE = 1.2e-7;

// From torch 2.13, of widths whose exponents no float32 holds:
//   inv = 1.0 / (theta ** (torch.arange(0, width, 2, dtype=torch.int64).to(torch.float) / width))
const WIDTHS: readonly (readonly [
  theta: number,
  width: number,
  readonly (readonly [lane: number, value: number])[],
])[] = [
  [1e4, 96, [[1, 0.825404167175293], [8, 0.2154434472322464], [26, 0.006812919396907091]]],
  [1e4, 96, [[35, 0.0012115273857489228], [47, 0.00012115274876123294]]],
  [1e4, 80, [[1, 0.7943282127380371], [24, 0.003981070592999458], [29, 0.0012589250691235065]]],
  [1e4, 80, [[36, 0.0002511886996217072], [39, 0.00012589251855388284]]],
  [1e6, 96, [[5, 0.23713739216327667], [26, 0.0005623411852866411], [47, 1.3335210269360687e-6]]],
  [1e6, 80, [[12, 0.015848929062485695], [22, 0.0005011871107853949]]],
  [1e6, 80, [[31, 2.2387219360098243e-5], [39, 1.4125371308182366e-6]]],
];

Deno.test("rotary frequencies of heads of 96 and of 80 are PyTorch's", () => {
  for (const [theta, width, frequencies] of WIDTHS) {
    const all = inverseFrequencies({ theta, width, maxPositions: 512 });
    assert.equal(all.length, width / 2);
    assertClose(
      frequencies.map(([lane]) => all[lane]),
      frequencies.map(([, value]) => value),
      { relative: FREQUENCY_RELATIVE, label: `width ${width}` },
    );
  }
});

for (const [model, { json, frequencies, angles }] of Object.entries(references)) {
  Deno.test(`rotary frequencies of ${model} are those of transformers`, () => {
    const all = inverseFrequencies(parseConfig(json).layerKinds[0].rope!);
    assert.equal(all.length, parseConfig(json).headDim / 2);
    const { maxRelative } = assertClose(
      frequencies.map(([lane]) => all[lane]),
      frequencies.map(([, value]) => value),
      { relative: FREQUENCY_RELATIVE, label: "inverse frequencies" },
    );
    if (Deno.env.get("ORTUNE_REPORT")) console.log(model, "frequencies", maxRelative);
  });

  Deno.test(`rotary tables of ${model} are those of transformers`, () => {
    const positions = 8192;
    const { cos, sin } = ropeTables(parseConfig(json).layerKinds[0].rope!, positions);
    const half = cos.length / positions;
    const at = (table: Float32Array): number[] =>
      angles.map(([position, lane]) => table[position * half + lane]);
    const errors = [
      assertClose(at(cos), angles.map(([, , value]) => value), {
        absolute: TABLE_ABSOLUTE,
        label: "cos",
      }),
      assertClose(at(sin), angles.map(([, , , value]) => value), {
        absolute: TABLE_ABSOLUTE,
        label: "sin",
      }),
    ];
    if (Deno.env.get("ORTUNE_REPORT")) console.log(model, errors.map((each) => each.maxAbsolute));
  });
}

interface ScalingCase {
  readonly family: string;
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inv_freq: readonly number[];
  readonly attention_factor: number;
}

Deno.test("rotary frequencies and factors of attention of every type are those of transformers", async () => {
  const { cases } = await readConfigFixture<{ readonly cases: readonly ScalingCase[] }>(
    "ropes.json",
  );
  assert.ok(cases.length > 30);
  for (const { family, name, config, inv_freq, attention_factor } of cases) {
    const rope = parseConfig(config).layerKinds[0].rope!;
    const label = `${family} ${name}`;
    assertClose([...inverseFrequencies(rope)], inv_freq, { relative: FREQUENCY_RELATIVE, label });
    assertClose([attentionFactor(rope)], [attention_factor], { relative: 1e-15, label });
  }
});

// transformers' _compute_yarn_parameters in NumPy's float32, where the ramp is a step, begins above 0, or is
// cut at the last dimension.
const YARN: readonly (readonly [
  Pick<Rope, "theta"> & Omit<YarnRopeScaling, "type" | "attentionFactor">,
  readonly number[],
])[] = [
  [
    {
      ...{ theta: 100, originalMaxPositions: 64, factor: 4 },
      ...{ betaFast: 2, betaSlow: 2, truncate: false },
    },
    [1, 0.5623413324356079, 0.3162277638912201, 0.04445698484778404].concat(
      [0.02500000037252903, 0.014058532193303108, 0.007905694656074047, 0.004445698577910662],
    ),
  ],
  [
    {
      ...{ theta: 10, originalMaxPositions: 16, factor: 3 },
      ...{ betaFast: 1, betaSlow: 0.001, truncate: true },
    },
    [1, 0.7498942017555237, 0.5623413324356079, 0.4216965138912201].concat(
      [0.2986595630645752, 0.210788756608963, 0.1481899470090866, 0.1037183329463005],
    ),
  ],
  [
    {
      ...{ theta: 100, originalMaxPositions: 64, factor: 4 },
      ...{ betaFast: 2, betaSlow: 0.5, truncate: false },
    },
    [1, 0.5623413324356079, 0.3162277638912201, 0.16829577088356018].concat(
      [0.06349658966064453, 0.018193718045949936, 0.007905694656074047, 0.004445698577910662],
    ),
  ],
  // Both bounds are dimension 0.
  [
    {
      ...{ theta: 100, originalMaxPositions: 16, factor: 4 },
      ...{ betaFast: 3, betaSlow: 3, truncate: true },
    },
    [1.0, 0.14058533310890198, 0.07905694097280502, 0.04445698484778404].concat(
      [0.02500000037252903, 0.014058532193303108, 0.007905694656074047, 0.004445698577910662],
    ),
  ],
  // Both bounds are the last dimension.
  [
    {
      ...{ theta: 10, originalMaxPositions: 16, factor: 4 },
      ...{ betaFast: 0.0294, betaSlow: 0.0294, truncate: true },
    },
    [1.0, 0.7498942017555237, 0.5623413324356079, 0.4216965138912201].concat(
      [0.3162277638912201, 0.23713736236095428, 0.17782793939113617, 0.1333521455526352],
    ),
  ],
];

Deno.test("YaRN's ramp leads from its lower bound to its upper one", () => {
  for (const [{ theta, ...scaling }, expected] of YARN) {
    const rope: Rope = {
      ...{ theta, width: 16, maxPositions: 64 },
      scaling: { type: "yarn", attentionFactor: 1, ...scaling },
    };
    assertClose([...inverseFrequencies(rope)], expected, {
      relative: FREQUENCY_RELATIVE,
      label: JSON.stringify(scaling),
    });
  }
});

Deno.test("Llama 3's scaling divides the frequencies of long waves, and interpolates towards those it keeps", () => {
  const scaling = {
    ...{ type: "llama3", factor: 4, originalMaxPositions: 160 } as const,
    // Waves of 6.3 positions are kept, those of 20 and 63 lie between, and those of 199 are divided.
    ...{ lowFreqFactor: 2, highFreqFactor: 16 },
  };
  // transformers' _compute_llama3_parameters in NumPy's float32.
  assertClose(
    [...inverseFrequencies({ theta: 100, width: 8, maxPositions: 640, scaling })],
    [1.0, 0.1815938949584961, 0.027927566319704056, 0.007905694656074047],
    { relative: FREQUENCY_RELATIVE, label: "frequencies" },
  );
});

Deno.test("LongRoPE divides each frequency by its own factor", () => {
  const scaling = {
    ...{ type: "longrope", shortFactors: [1, 2, 4, 5] } as const,
    ...{ attentionFactor: 1.25, originalMaxPositions: 64 },
  };
  const rope = { theta: 16, width: 8, maxPositions: 128, scaling };
  assert.deepEqual([...inverseFrequencies(rope)], [1, 1 / 4, 1 / 16, Math.fround(1 / 40)]);
  const { cos, sin } = ropeTables(rope, 3);
  const angles = [0, 1, 2].flatMap((position) =>
    [1, 1 / 4, 1 / 16, 1 / 40].map((f) => position * f)
  );
  const wanted = { absolute: 2 * TABLE_ABSOLUTE, label: "tables" };
  assertClose([...cos], angles.map((angle) => 1.25 * Math.cos(angle)), wanted);
  assertClose([...sin], angles.map((angle) => 1.25 * Math.sin(angle)), wanted);
});

Deno.test("the tables of a kind of layers are its turns, and what its queries grow by", () => {
  const rope = { theta: 16, width: 4, maxPositions: 64 };
  const kind = { name: "full_attention", rope };
  const { cos, sin } = ropeTables(rope, 9);
  const turns = { cos: { width: 2, data: cos }, sin: { width: 2, data: sin } };
  assert.deepEqual(positionTables(kind, 9), turns);
  // Layers that turn have tables of their own, whatever else a kernel would be given.
  assert.deepEqual(positionTables(kind, 9, { unturned: 8 }), turns);
  // 1 + 0.3 · ln(1 + ⌊position ÷ 4⌋), in NumPy's float32.
  const growth = [1, 1, 1, 1, ...Array<number>(4).fill(1.2079441547393799), 1.3295836448669434];
  assert.deepEqual(positionTables({ ...kind, queryGrowth: { beta: 0.3, span: 4 } }, 9), {
    ...turns,
    query_scale: { width: 1, data: Float32Array.from(growth) },
  });
});

Deno.test("layers that turn nothing have no tables, or for kernels some that turn nothing", () => {
  assert.deepEqual(positionTables({ name: "unturned" }, 3), {});
  assert.deepEqual(positionTables({ name: "unturned" }, 3, { unturned: 4 }), {
    cos: { width: 2, data: Float32Array.of(1, 1, 1, 1, 1, 1) },
    sin: { width: 2, data: new Float32Array(6) },
  });
});
