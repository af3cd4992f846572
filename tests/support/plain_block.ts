/**
 * A transformer block in plain loops and float64, as transformers' classes compute it, token by token: what the block
 * graphs of all families are held against. In: hidden states, weights by their names inside the layer, and where the
 * tokens stand. Out: hidden states.
 */

import type { ModelConfig } from "../../model/config.ts";
import type { LayerKind } from "../../model/parts/layer_kind.ts";

/** Row-major numbers. */
type Numbers = ArrayLike<number>;

/** Tokens one after another. */
export interface PlainTokens {
  /** 0 is padding, and may be computed in any way. */
  readonly segments: readonly number[];
  /** Positions in their segments, by which they are turned. */
  readonly positions: readonly number[];
}

/** What a family does that its weights' names do not show. */
export interface PlainTraits {
  /** Whether norms stand behind parts, and not before them too: OLMo 2. */
  readonly normsBehind?: boolean;
  /** Whether attention's result goes through a gate: Qwen3.5. */
  readonly gated?: boolean;
  /** Whether the MLP's activation is GELU by tanh: Gemma. */
  readonly gelu?: boolean;
}

const dot = (a: Numbers, b: Numbers): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const silu = (x: number): number => x * sigmoid(x);
const gelu = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

function rms(x: readonly number[], weight: Numbers, epsilon: number, offset: number): number[] {
  const factor = 1 / Math.sqrt(dot(x, x) / x.length + epsilon);
  return x.map((each, i) => each * factor * (weight[i] + offset));
}

/** What each token's hidden states become. */
export function plainBlock(
  x: readonly (readonly number[])[],
  weights: ReadonlyMap<string, Numbers>,
  tokens: PlainTokens,
  { config, kind, traits = {} }: {
    readonly config: ModelConfig;
    readonly kind: LayerKind;
    readonly traits?: PlainTraits;
  },
): number[][] {
  const { rmsNormEps, normOffset, residualScale } = config;
  const norm = (name: string) => (row: readonly number[]): number[] => {
    const weight = weights.get(`${name}.weight`);
    return weight ? rms(row, weight, rmsNormEps, normOffset) : [...row];
  };
  const behind = weights.has("post_feedforward_layernorm.weight");
  const none = (row: readonly number[]): number[] => [...row];
  const mixed = (kind.delta ? deltaNet : attention)(
    x.map(norm("input_layernorm")),
    weights,
    tokens,
    { config, kind, traits },
  ).map(behind ? norm("post_attention_layernorm") : none);
  const middle = x.map((row, t) => row.map((each, i) => each + residualScale * mixed[t][i]));
  const before = behind
    ? traits.normsBehind ? none : norm("pre_feedforward_layernorm")
    : norm("post_attention_layernorm");
  const after = behind ? norm("post_feedforward_layernorm") : none;
  return middle.map((row) => {
    const given = after(mlp(before(row), weights, { config, traits }));
    return row.map((each, i) => each + residualScale * given[i]);
  });
}

/** A linear layer by its name. */
function linear(
  x: readonly number[],
  name: string,
  weights: ReadonlyMap<string, Numbers>,
): number[] {
  const [weight, bias] = [weights.get(`${name}.weight`)!, weights.get(`${name}.bias`)];
  const width = x.length;
  return Array.from({ length: weight.length / width }, (_, row) => {
    let sum = bias?.[row] ?? 0;
    for (let i = 0; i < width; i++) sum += weight[row * width + i] * x[i];
    return sum;
  });
}

function mlp(
  x: readonly number[],
  weights: ReadonlyMap<string, Numbers>,
  { config: { intermediateSize }, traits }: {
    readonly config: ModelConfig;
    readonly traits: PlainTraits;
  },
): number[] {
  const fused = ["mlp.gate_up_proj", "shared_mlp.input_linear"]
    .find((name) => weights.has(`${name}.weight`));
  const both = fused
    ? linear(x, fused, weights)
    : [...linear(x, "mlp.gate_proj", weights), ...linear(x, "mlp.up_proj", weights)];
  const activation = traits.gelu ? gelu : silu;
  const inner = Array.from(
    { length: intermediateSize },
    (_, i) => activation(both[i]) * both[intermediateSize + i],
  );
  const down = weights.has("mlp.down_proj.weight") ? "mlp.down_proj" : "shared_mlp.output_linear";
  return linear(inner, down, weights);
}

/** A head's numbers turned by their position: the first half of `width` with the second. */
function turned(head: number[], position: number, { rope }: LayerKind): number[] {
  if (!rope) return head;
  const { theta, width } = rope;
  const half = width / 2;
  return head.map((each, i) => {
    if (i >= width) return each;
    const angle = position * theta ** (-2 * (i % half) / width);
    const other = i < half ? -head[i + half] : head[i - half];
    return each * Math.cos(angle) + other * Math.sin(angle);
  });
}

type Context = {
  readonly config: ModelConfig;
  readonly kind: LayerKind;
  readonly traits: PlainTraits;
};

function attention(
  x: readonly (readonly number[])[],
  weights: ReadonlyMap<string, Numbers>,
  { segments, positions }: PlainTokens,
  { config, kind, traits }: Context,
): number[][] {
  const { heads, kvHeads, headDim, rmsNormEps, normOffset, attentionScale } = config;
  const split = (row: readonly number[], count: number, width = headDim): number[][] =>
    Array.from({ length: count }, (_, head) => row.slice(head * width, (head + 1) * width));
  const normed = (name: string, row: readonly number[], count: number): number[][] => {
    const weight = weights.get(`self_attn.${name}_norm.weight`);
    if (!weight) return split(row, count);
    return weight.length === headDim
      ? split(row, count).map((head) => rms(head, weight, rmsNormEps, normOffset))
      : split(rms(row, weight, rmsNormEps, normOffset), count);
  };
  const projected = x.map((row, t) => {
    let [q, k, v] = weights.has("self_attn.qkv_proj.weight")
      ? (([all, width, inner]) => [
        all.slice(0, width),
        all.slice(width, width + inner),
        all.slice(width + inner),
      ])([linear(row, "self_attn.qkv_proj", weights), heads * headDim, kvHeads * headDim] as [
        ...[number[], number, number],
      ])
      : ["q", "k", "v"].map((name) => linear(row, `self_attn.${name}_proj`, weights));
    let gate: number[] | undefined;
    if (traits.gated) {
      const pairs = split(q, heads, 2 * headDim);
      [q, gate] = [0, headDim].map((from) =>
        pairs.flatMap((pair) => pair.slice(from, from + headDim))
      );
    }
    const { queryGrowth } = kind;
    const growth = queryGrowth
      ? 1 + queryGrowth.beta * Math.log(1 + Math.floor(positions[t] / queryGrowth.span))
      : 1;
    return {
      q: normed("q", q, heads)
        .map((head) => turned(head, positions[t], kind).map((each) => each * growth)),
      k: normed("k", k, kvHeads).map((head) => turned(head, positions[t], kind)),
      v: split(v, kvHeads),
      gate,
    };
  });
  return projected.map(({ q, gate }, t) => {
    const seen = segments.flatMap((segment, s) =>
      segment === segments[t] && s <= t && t - s < (kind.window ?? Infinity) ? [s] : []
    );
    const mixed = q.flatMap((query, head) => {
      const own = Math.floor(head / (heads / kvHeads));
      const scores = seen.map((s) => attentionScale * dot(query, projected[s].k[own]));
      const largest = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - largest));
      const sum = shares.reduce((a, b) => a + b, 0);
      return query.map((_, i) =>
        seen.reduce((all, s, n) => all + shares[n] / sum * projected[s].v[own][i], 0)
      );
    });
    const gated = gate ? mixed.map((each, i) => each * sigmoid(gate[i])) : mixed;
    return linear(gated, "self_attn.o_proj", weights);
  });
}

/** The gated delta rule token by token: transformers' torch_recurrent_gated_delta_rule. */
function deltaNet(
  x: readonly (readonly number[])[],
  weights: ReadonlyMap<string, Numbers>,
  { segments }: PlainTokens,
  { config, kind }: Context,
): number[][] {
  const { keyHeads, valueHeads, keyDim, valueDim, taps } = kind.delta!;
  const get = (name: string): Numbers => weights.get(`linear_attn.${name}`)!;
  const project = (row: readonly number[], name: string): number[] =>
    linear(row, `linear_attn.${name}`, weights);
  const inputs = x.map((row) => project(row, "in_proj_qkv"));
  const [convolution, rate, bias, norm] = [
    ...["conv1d.weight", "A_log", "dt_bias", "norm.weight"].map(get),
  ];
  const unit = (head: readonly number[]): number[] => {
    const length = Math.sqrt(dot(head, head) + 1e-6);
    return head.map((each) => each / length);
  };
  let states: number[][][] = [];
  return x.map((row, t) => {
    // Each segment begins with states of zeros, and reads no other's inputs.
    if (segments[t] !== segments[t - 1]) {
      states = Array.from(
        { length: valueHeads },
        () => Array.from({ length: keyDim }, () => Array<number>(valueDim).fill(0)),
      );
    }
    const convolved = inputs[t].map((_, channel) => {
      let sum = 0;
      for (let back = 0; back < taps; back++) {
        if (segments[t - back] !== segments[t]) continue;
        sum += convolution[channel * taps + taps - 1 - back] * inputs[t - back][channel];
      }
      return silu(sum);
    });
    const [b, a, z] = ["in_proj_b", "in_proj_a", "in_proj_z"].map((name) => project(row, name));
    const mixed = states.flatMap((state, head) => {
      const own = Math.floor(head / (valueHeads / keyHeads));
      const keys = keyHeads * keyDim;
      const q = unit(convolved.slice(own * keyDim, (own + 1) * keyDim))
        .map((each) => each * keyDim ** -0.5);
      const k = unit(convolved.slice(keys + own * keyDim, keys + (own + 1) * keyDim));
      const v = convolved.slice(2 * keys + head * valueDim, 2 * keys + (head + 1) * valueDim);
      const decay = Math.exp(-Math.exp(rate[head]) * Math.log1p(Math.exp(a[head] + bias[head])));
      for (const line of state) line.forEach((each, j) => line[j] = each * decay);
      const change = v.map((value, j) =>
        sigmoid(b[head]) * (value - k.reduce((sum, key, i) => sum + key * state[i][j], 0))
      );
      k.forEach((key, i) => change.forEach((value, j) => state[i][j] += key * value));
      const given = v.map((_, j) => q.reduce((sum, each, i) => sum + each * state[i][j], 0));
      const gate = z.slice(head * valueDim, (head + 1) * valueDim);
      return rms(given, norm, config.rmsNormEps, 0).map((each, i) => each * silu(gate[i]));
    });
    return project(mixed, "out_proj");
  });
}
