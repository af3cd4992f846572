"""ollama: chat whole and streamed, generate, list and show by Ollama's own client."""

import ollama
from client import done, equal, facts, server, version

api = ollama.Client(host=server["url"])
model = server["model"]
asked = facts["replies"][0]
to = {"model": model, "messages": asked["messages"], "options": {"temperature": 0, "num_predict": -1}}
reply = api.chat(**to)
equal("chat", (reply.message.thinking, reply.message.content), (asked["think"], asked["answer"]))
equal("counts", (reply.prompt_eval_count, reply.eval_count), (asked["promptTokens"], asked["newTokens"]))
parts = list(api.chat(**to, stream=True))
equal("streamed", "".join(each.message.content or "" for each in parts), asked["answer"])
system, user = (each["content"] for each in asked["messages"])
made = api.generate(model=model, prompt=user, system=system, options={"temperature": 0})
equal("generate", made.response, asked["answer"])
equal("list", [each.model for each in api.list().models], [model])
equal("show", "completion" in api.show(model).capabilities, True)
done(version("ollama"))
