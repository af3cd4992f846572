"""huggingface_hub: the model card of a pushed run, its metadata and results as the hub's client reads them."""

import json
import os

from client import artefacts, check, done, equal, facts, version
from huggingface_hub import ModelCard
from safetensors.numpy import load_file
from transformers import AutoTokenizer

folder = artefacts["pushed"]
card = ModelCard.load(os.path.join(folder, "README.md"))
equal("library_name", card.data.library_name, "transformers")
equal("pipeline_tag", card.data.pipeline_tag, "text-generation")
(result,) = card.data.eval_results
# With four digits after the point, as the card has it.
equal("metric", (result.metric_type, result.metric_value), ("loss", round(facts["evalLoss"][-1][1], 4)))
again = ModelCard(str(card))
equal("card written back", again.data.to_dict(), card.data.to_dict())
with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
    equal("config.json", json.load(file)["model_type"], "qwen3")
pushed, own = (load_file(f"{path}/model.safetensors") for path in (folder, artefacts["checkpoint"]))
same = sum(bool((pushed[name] == own[name]).all()) for name in own)
check("pushed tensors", same == len(own) == len(pushed), f"{same} of {len(own)}")
ids = AutoTokenizer.from_pretrained(folder).encode(facts["texts"][1]["text"])
equal("pushed tokenizer", ids, facts["texts"][1]["ids"])
done(version("huggingface_hub"))
