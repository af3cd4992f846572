"""LlamaIndex: OpenAILike as a chat model and as a completion model."""

from client import done, equal, facts, server, version
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

to = {"model": server["model"], "api_base": server["url"] + "/v1", "api_key": "none", "temperature": 0}
asked = facts["replies"][0]
messages = [ChatMessage(**each) for each in asked["messages"]]
chat = OpenAILike(**to, is_chat_model=True)
equal("chat", chat.chat(messages).message.content, asked["answer"])
equal("streamed", "".join(part.delta or "" for part in chat.stream_chat(messages)), asked["answer"])
completion = facts["completion"]
complete = OpenAILike(**to, max_tokens=facts["newTokens"])
equal("completion", complete.complete(completion["prompt"]).text, completion["text"])
done(version("llama-index-llms-openai-like"))
