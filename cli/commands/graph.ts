/**
 * `deno task graph`: writes a model's training graphs as .onnx files for any ONNX viewer. In: a
 * model folder (config.json is enough). Out: one file a graph.
 *
 * @module
 */

import type { Graph } from "../../ort/graph/ir.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import { decodeBlockGraph } from "../../model/graphs/decode_graphs.ts";
import { distinctKinds } from "../../model/parts/layer_kind.ts";
import { readConfig } from "../../model/weights/open_model.ts";
import {
  attentionMaskGraph,
  blockBackwardGraph,
  blockForwardGraph,
  embedGraph,
  headGraph,
  headLogitsGraph,
  headLossGraph,
} from "../../model/graphs/training_graphs.ts";
import { adamWGraph } from "../../train/optimizers/adamw_graph.ts";
import { findModel, findTrained, MODEL_CONFIG } from "../../train/runs/find_model.ts";
import { runCommand } from "../process/run_command.ts";

interface GraphFlags {
  readonly model: string;
  readonly out: string;
}

await runCommand<GraphFlags>({
  name: "deno task graph",
  description: "Writes the training graphs of a model as .onnx files.",
  flags: (command) =>
    command
      .requiredOption(
        "--model <dir>",
        "folder with a config.json, a checkpoint, the output folder of a run, or a model's id below models/",
      )
      .requiredOption("--out <dir>", "where the .onnx files go, such as output/graphs"),
  run: async ({ options: { model, out } }) => {
    const config = await readConfig(await findTrained(await findModel(model), MODEL_CONFIG));
    const kinds = distinctKinds(config);
    const blocks = kinds.flatMap((kind) => {
      const suffix = kinds.length > 1 ? `_${kind.name}` : "";
      return [
        [`attention_mask${suffix}`, attentionMaskGraph(kind)],
        [`block_forward${suffix}`, blockForwardGraph(config, { kind })],
        [`block_backward${suffix}`, blockBackwardGraph(config, { kind })],
        [`block_decode${suffix}`, decodeBlockGraph(config, { kind })],
      ] as const;
    });
    const graphs: Readonly<Record<string, Graph>> = {
      embed: embedGraph(config),
      ...Object.fromEntries(blocks),
      head: headGraph(config),
      head_loss: headLossGraph(config),
      head_logits: headLogitsGraph(config),
      optimizer: adamWGraph({ beta1: 0.9, beta2: 0.999 }, true),
    };
    await Deno.mkdir(out, { recursive: true });
    for (const [name, graph] of Object.entries(graphs)) {
      const bytes = writeOnnx(graph);
      await Deno.writeFile(`${out}/${name}.onnx`, bytes);
      console.log(`${out}/${name}.onnx  ${graph.nodes.length} nodes, ${bytes.length} bytes`);
    }
  },
});
