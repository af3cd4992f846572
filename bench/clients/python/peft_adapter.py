"""PEFT: the adapter by AutoPeftModel, and merge_and_unload beside `deno task merge`."""

import os

from client import artefacts, check, done, facts, version
from hugging_face import compare_model
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from transformers import AutoTokenizer

# The adapter names its base as the run was told it: from the folder that the run was started in.
os.chdir(os.path.dirname(os.path.dirname(artefacts["run"])))
model = AutoPeftModelForCausalLM.from_pretrained(artefacts["adapter"]).eval()
compare_model(model, AutoTokenizer.from_pretrained(artefacts["adapter"]), facts["adapter"])
merged = model.merge_and_unload().state_dict()
ours = load_file(artefacts["merged"] + "/model.safetensors")
worst = max((merged[name] - tensor).abs().max().item() for name, tensor in ours.items())
missing = set(merged) - set(ours) - {"lm_head.weight"}  # tied
check("merged weights", worst < 1e-6 and not missing, f"{len(ours)} tensors, error {worst:.1e}")
done(version("peft"))
