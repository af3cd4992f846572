"""Accelerate: load_checkpoint_in_model fills an empty model from the folder."""

from accelerate import init_empty_weights, load_checkpoint_in_model
from client import artefacts, done, facts, version
from hugging_face import compare_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

folder = artefacts["checkpoint"]
with init_empty_weights(include_buffers=False):
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
model.tie_weights()
load_checkpoint_in_model(model, folder, device_map={"": "cpu"})
model.tie_weights()
compare_model(model.eval(), AutoTokenizer.from_pretrained(folder), facts["checkpoint"])
done(version("accelerate"))
