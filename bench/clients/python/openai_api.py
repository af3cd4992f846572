"""openai: chat completions whole and streamed, responses, completions, models and an error."""

import openai
from client import done, equal, facts, server

api = openai.OpenAI(base_url=server["url"] + "/v1", api_key="none", max_retries=0)
model = server["model"]
wanted = [(each["think"], each["answer"]) for each in facts["replies"]]

got, usage = [], []
for each in facts["replies"]:
    reply = api.chat.completions.create(model=model, messages=each["messages"], temperature=0)
    message = reply.choices[0].message
    got.append((message.reasoning_content, message.content))
    usage.append((reply.usage.prompt_tokens, reply.usage.completion_tokens))
equal("chats", got, wanted)
# The token that ends a reply counts as one that was made.
equal("usage", usage, [(each["promptTokens"], each["newTokens"]) for each in facts["replies"]])

streamed = []
for each in facts["replies"]:
    think = answer = ""
    for chunk in api.chat.completions.create(model=model, messages=each["messages"], temperature=0, stream=True):
        for choice in chunk.choices:
            think += getattr(choice.delta, "reasoning_content", None) or ""
            answer += choice.delta.content or ""
    streamed.append((think, answer))
equal("streamed chats", streamed, wanted)

asked = facts["replies"][0]
response = api.responses.create(model=model, input=asked["messages"], temperature=0)
equal("response", response.output_text, asked["answer"])
completion = facts["completion"]
whole = api.completions.create(model=model, prompt=completion["prompt"], temperature=0, max_tokens=facts["newTokens"])
equal("completion", whole.choices[0].text, completion["text"])
equal("models", [each.id for each in api.models.list()], [model])
try:
    api.chat.completions.create(model="gpt", messages=asked["messages"])
    equal("error for another model", "none", "NotFoundError")
except openai.NotFoundError as error:
    equal("error for another model", error.code, "model_not_found")
done(openai.__version__)
