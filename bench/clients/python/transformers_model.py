"""transformers: the checkpoint and the merged model by AutoModelForCausalLM and AutoTokenizer."""

from client import artefacts, done, facts, tokens, version
from hugging_face import compare_model
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(artefacts["checkpoint"])
texts = facts["texts"]
tokens("ids of texts", [tokenizer.encode(each["text"]) for each in texts], [each["ids"] for each in texts])
for name in ("checkpoint", "merged"):
    model = AutoModelForCausalLM.from_pretrained(artefacts[name]).eval()
    compare_model(model, tokenizer, facts[name], f" of {name}")
done(version("transformers"))
