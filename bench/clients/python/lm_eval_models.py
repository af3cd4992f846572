"""lm-evaluation-harness: its models hf, local-completions and local-chat-completions, asked for greedy text."""

from client import artefacts, done, equal, facts, server, version
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

folder = artefacts["checkpoint"]
completion = facts["completion"]


def ask(model, prompt, length):
    arguments = (prompt, {"until": [], "max_gen_toks": length, "do_sample": False, "temperature": 0})
    request = Instance(request_type="generate_until", doc={}, arguments=arguments, idx=0, metadata=("ortune", 0, 1))
    return model.generate_until([request])[0]


local = HFLM(pretrained=folder, device="cpu", batch_size=1, dtype="float32")
equal("hf", ask(local, completion["prompt"], facts["newTokens"]).strip(), completion["text"].strip())
to = {"model": server["model"], "tokenizer": folder, "num_concurrent": 1, "max_retries": 1}
text = LocalCompletionsAPI(base_url=server["url"] + "/v1/completions", **to)
equal("local-completions", ask(text, completion["prompt"], facts["newTokens"]), completion["text"])
chat = LocalChatCompletion(base_url=server["url"] + "/v1/chat/completions", **to)
reply = facts["replies"][0]
prompt = chat.apply_chat_template(reply["messages"])
equal("local-chat-completions", ask(chat, prompt, 128), reply["answer"])
done(version("lm_eval"))
