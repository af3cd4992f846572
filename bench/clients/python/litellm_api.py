"""LiteLLM: completion whole and streamed by the openai provider, and by its hosted_vllm and ollama_chat."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
from client import done, equal, facts, server, version

asked = facts["replies"][0]
base = {"messages": asked["messages"], "temperature": 0}
for provider, url in (("openai", "/v1"), ("hosted_vllm", "/v1"), ("ollama_chat", "")):
    to = {**base, "model": f"{provider}/{server['model']}", "api_base": server["url"] + url, "api_key": "none"}
    message = litellm.completion(**to).choices[0].message
    equal(f"{provider}", (message.content, message.reasoning_content), (asked["answer"], asked["think"]))
    text = "".join(part.choices[0].delta.content or "" for part in litellm.completion(**to, stream=True))
    equal(f"{provider} streamed", text, asked["answer"])
done(version("litellm"))
