"""optimum-onnx: ORTModelForCausalLM generates from the fp32 export.

The graph has an input that optimum-onnx does not know, num_logits_to_keep (0 for all positions), which
transformers.js gives; a subclass of three lines gives it here.
"""

import torch
from client import artefacts, check, done, facts, limit, tokens, version
from hugging_face import greedy_reply
from optimum.onnxruntime import ORTModelForCausalLM


class Model(ORTModelForCausalLM):
    def _prepare_onnx_inputs(self, use_torch, model_inputs):
        given = {**model_inputs, "num_logits_to_keep": torch.tensor(0)}
        return super()._prepare_onnx_inputs(use_torch, given)


def generate(kind):
    model = kind.from_pretrained(artefacts["export"], subfolder="onnx", file_name="model.onnx")
    return [greedy_reply(model, torch.tensor([each["ids"]])) for each in facts["checkpoint"]]


wanted = [each["greedy"] for each in facts["checkpoint"]]
tokens("greedy tokens, with num_logits_to_keep", generate(Model), wanted)
try:
    generate(ORTModelForCausalLM)
    check("without the subclass", False, "works now: take the subclass out")
except ValueError as error:
    limit("without the subclass", error)
done(version("optimum-onnx"))
