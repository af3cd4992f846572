"""ONNX Runtime: greedy tokens of the fp32 export with its own cache, beside the checkpoint's."""

import numpy
import onnxruntime
from client import artefacts, close, done, facts, tokens, without_end

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(f"{artefacts['export']}/onnx/model.onnx", options)
names = [each.name for each in session.get_outputs()]
empty = {
    each.name: numpy.zeros([1, each.shape[1], 0, each.shape[3]], numpy.float32)
    for each in session.get_inputs()
    if each.name.startswith("past_key_values")
}
wants = {each.name for each in session.get_inputs()}


def run(ids, past, seen):
    feeds = {"input_ids": numpy.array([ids], numpy.int64), **past}
    feeds["attention_mask"] = numpy.ones([1, seen + len(ids)], numpy.int64)
    if "position_ids" in wants:
        feeds["position_ids"] = numpy.arange(seen, seen + len(ids))[None]
    if "num_logits_to_keep" in wants:
        feeds["num_logits_to_keep"] = numpy.array(1, numpy.int64)
    given = dict(zip(names, session.run(None, feeds)))
    cache = {key.replace("present", "past_key_values"): given[key] for key in names if key.startswith("present")}
    return given["logits"][0, -1], cache


logits, greedy = [], []
for each in facts["checkpoint"]:
    last, past = run(each["ids"], empty, 0)
    logits.append(last.tolist())
    made, seen = [], len(each["ids"])
    while len(made) < facts["newTokens"] and int(last.argmax()) not in facts["eosTokenIds"]:
        made.append(int(last.argmax()))
        last, past = run(made[-1:], past, seen)
        seen += 1
    greedy.append(without_end(made))
close("logits", logits, [each["logits"] for each in facts["checkpoint"]])
tokens("greedy tokens", greedy, [each["greedy"] for each in facts["checkpoint"]])
done(onnxruntime.__version__)
