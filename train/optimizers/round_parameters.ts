/** The copy that a model runs on. In: parameters and a store of the same layout. Out: the store filled. */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import { castGraph } from "../../model/graphs/device_graphs.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import { chunksOf } from "./layout_chunks.ts";

/** Rounds parameters into their copy, as an update does, after they were filled from elsewhere. */
export function roundParameters(
  runtime: Runtime,
  parameters: ParameterStore,
  copy: ParameterStore,
): void {
  using graph = new CompiledGraph(runtime, castGraph(parameters.flat.dtype, copy.flat.dtype));
  for (const { start, length } of chunksOf(copy.layout, runtime.device)) {
    const view = ({ flat }: ParameterStore): Tensor =>
      flat.view(start * byteWidth(flat.dtype), [length]);
    using x = view(parameters);
    using y = view(copy);
    graph.run({ x, y }, { elements: length });
  }
}
