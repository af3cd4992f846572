/**
 * A graph with operations of ortune's own: sessions, and kernels launched between them.
 *
 * In: a `Graph`, what launches its kernels, and memory for what one subgraph leaves for the next. Out:
 * bindings, as of a `CompiledGraph`, which a graph without such operations is.
 *
 * @module
 */

import { evaluateShape, type Symbols } from "../../ort/graph/dim.ts";
import type { Graph, Node, Value } from "../../ort/graph/ir.ts";
import { type BufferPlan, planBuffers, planMemory } from "../../ort/graph/memory_plan.ts";
import { bytesOf, type Crossing, splitSubgraphs } from "../../ort/graph/subgraphs.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Binding, TensorMap } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { CompiledGraph } from "./compiled_graph.ts";
import type { Scratch } from "./scratch.ts";

/** Launches the kernel of a node on tensors: undefined where the node leaves an input out. */
export type LaunchNode = (
  node: Node,
  inputs: readonly (Tensor | undefined)[],
  outputs: readonly Tensor[],
) => void;

/** What a {@linkcode SubgraphSessions} runs with. */
export interface SubgraphSessionsOptions {
  /** Launches kernels, on the stream that sessions run on. */
  readonly launch: LaunchNode;
  /** Holds what crosses subgraphs; graphs that never run at the same time may share it. */
  readonly scratch: Scratch;
  /** Whether what crosses subgraphs may lie in one buffer; else it lies in several. */
  readonly views: boolean;
}

/** What one subgraph leaves for others, as tensors of one run's sizes. */
interface CrossingTensors {
  /** Tells other sizes and other memory apart. */
  readonly key: string;
  readonly tensors: TensorMap;
}

const NAME = "subgraphs";

type Step =
  | { readonly compiled: CompiledGraph; readonly kernel?: undefined }
  | { readonly compiled?: undefined; readonly kernel: Node };

/** A graph in subgraphs, compiled. */
export class SubgraphSessions implements Disposable {
  /** The graph as it was written. */
  readonly graph: Graph;
  readonly #options: SubgraphSessionsOptions;
  readonly #steps: readonly Step[];
  readonly #crossing: readonly Crossing[];
  #plan: (BufferPlan & { readonly sizes: string }) | undefined;
  #current: (CrossingTensors & { readonly owned: DisposableStack }) | undefined;

  /**
   * Compiles the sessions' graphs.
   *
   * @throws {Error} where ONNX Runtime refuses one, with its message
   */
  constructor(runtime: Runtime, graph: Graph, options: SubgraphSessionsOptions) {
    this.graph = graph;
    this.#options = options;
    const { steps, crossing } = splitSubgraphs(graph);
    this.#crossing = crossing;
    using compiled = new DisposableStack();
    this.#steps = steps.map(({ graph, kernel }) =>
      kernel ? { kernel } : { compiled: compiled.use(new CompiledGraph(runtime, graph)) }
    );
    compiled.move();
  }

  /**
   * A binding with the tensors that stay the same from run to run, such as a layer's weights.
   *
   * @param launch launches its kernels, @default the sessions' own
   */
  bind(tensors: TensorMap, launch: LaunchNode = this.#options.launch): SubgraphBinding {
    const binding = new SubgraphBinding(
      this.#steps.map(({ compiled, kernel }) => kernel ?? compiled.bind({})),
      launch,
    );
    this.#bind(binding, tensors);
    return binding;
  }

  /** Binds tensors by the names of inputs and outputs; a later one replaces an earlier one. */
  bindMore(binding: SubgraphBinding, tensors: TensorMap, symbols: Symbols): void {
    const { key, tensors: crossing } = this.#tensors(symbols);
    // A run of the last one's sizes finds these where they were.
    if (binding.sizes === key) this.#bind(binding, tensors);
    else this.#bind(binding, { ...tensors, ...crossing }, symbols);
    binding.sizes = key;
  }

  /** Binds, runs once and releases. */
  run(tensors: TensorMap, symbols: Symbols = {}): void {
    using binding = this.bind({});
    this.bindMore(binding, tensors, symbols);
    binding.run();
  }

  #bind(binding: SubgraphBinding, tensors: TensorMap, symbols?: Symbols): void {
    binding.remember(tensors, this.graph.aliases);
    this.#steps.forEach(({ compiled }, i) => {
      compiled?.bindMore(binding.steps[i] as Binding, tensors, symbols);
    });
  }

  /** What crosses subgraphs, at its places. */
  #tensors(symbols: Symbols): CrossingTensors {
    const { scratch, views } = this.#options;
    const sizes = JSON.stringify(symbols);
    if (this.#crossing.length === 0) return { key: sizes, tensors: {} };
    // All layers of a batch ask for the same.
    if (this.#plan?.sizes !== sizes) {
      this.#plan = { sizes, ...planCrossing(this.#crossing, symbols, { views }) };
    }
    const { places } = this.#plan;
    const buffers = this.#plan.buffers.map((bytes, i) => scratch.atLeast(`${NAME}.${i}`, bytes));
    const key = `${buffers.map(({ address }) => address)} ${sizes}`;
    if (this.#current?.key === key) return this.#current;
    this.#current?.owned.dispose();
    using made = new DisposableStack();
    const tensors = Object.fromEntries(
      this.#crossing.map(({ value: { name, dtype, shape } }, i) => [
        name,
        made.use(
          buffers[places[i].buffer].view(places[i].offset, evaluateShape(shape, symbols), dtype),
        ),
      ]),
    );
    this.#current = { key, tensors, owned: made.move() };
    return this.#current;
  }

  /** Releases the sessions; bindings made from it must be gone by then. */
  [Symbol.dispose](): void {
    this.#current?.owned.dispose();
    for (const { compiled } of this.#steps) compiled?.[Symbol.dispose]();
  }
}

/** Where everything that crosses subgraphs lies, for runs of these sizes. */
export function planCrossing(
  crossing: readonly Crossing[],
  symbols: Symbols,
  { views }: Pick<SubgraphSessionsOptions, "views">,
): BufferPlan {
  const items = crossing.map(({ value, from, to }) => {
    return { bytes: bytesOf(value, symbols), from, to };
  });
  if (!views) return planBuffers(items);
  const { offsets, bytes } = planMemory(items);
  return { places: offsets.map((offset) => ({ buffer: 0, offset })), buffers: [bytes] };
}

/** Tensors bound to the subgraphs of a graph. */
export class SubgraphBinding implements Disposable {
  /** A session's binding, or the node of a kernel. */
  readonly steps: readonly (Binding | Node)[];
  /** Which sizes and which crossing tensors are bound; set by {@linkcode SubgraphSessions.bindMore}. */
  sizes = "";
  readonly #launch: LaunchNode;
  readonly #tensors = new Map<string, Tensor>();

  /** Made by {@linkcode SubgraphSessions.bind}. */
  constructor(steps: readonly (Binding | Node)[], launch: LaunchNode) {
    this.steps = steps;
    this.#launch = launch;
  }

  /** Keeps tensors for kernels to find, and those of outputs that are written in place. */
  remember(tensors: TensorMap, aliases: Graph["aliases"]): void {
    for (const [name, tensor] of Object.entries(tensors)) this.#tensors.set(name, tensor);
    for (const [output, input] of aliases) {
      const tensor = tensors[output] ?? tensors[input];
      if (tensor) this.#tensors.set(output, tensor);
    }
  }

  /** Runs all subgraphs; on a device they are queued. */
  run(): void {
    const find = ({ name }: Value): Tensor => {
      const tensor = this.#tensors.get(name);
      if (!tensor) throw new Error(`Cannot launch a kernel: no tensor for ${name}`);
      return tensor;
    };
    for (const step of this.steps) {
      if ("op" in step) {
        const { inputs, outputs } = step;
        this.#launch(step, inputs.map((input) => input && find(input)), outputs.map(find));
      } else step.run();
    }
  }

  /** Releases the sessions' bindings; the tensors stay. */
  [Symbol.dispose](): void {
    for (const step of this.steps) if (!("op" in step)) step[Symbol.dispose]();
  }
}
