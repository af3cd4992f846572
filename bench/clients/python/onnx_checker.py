"""onnx: full check with shape inference of both exports."""

import onnx
from client import artefacts, check, done, version

for name in ("model", "model_q4"):
    path = f"{artefacts['export']}/onnx/{name}.onnx"
    onnx.checker.check_model(path)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False), check_type=True)
    outputs = [each.name for each in inferred.graph.output if each.type.tensor_type.HasField("shape")]
    known = {each.name for each in [*inferred.graph.value_info, *inferred.graph.output]}
    made = {out for node in inferred.graph.node for out in node.output if out}
    check(
        f"shapes of {name}",
        "logits" in outputs and made <= known,
        f"checked; {len(made & known)} of {len(made)} values have a shape",
    )
done(version("onnx"))
