"""Pydantic AI: an agent's text, its thinking, and output of a pydantic model."""

from client import done, equal, facts, server, version
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Advice(BaseModel):
    advice: str = Field(max_length=40)
    urgent: bool


provider = OpenAIProvider(base_url=server["url"] + "/v1", api_key="none")
model = OpenAIChatModel(server["model"], provider=provider)
asked = facts["replies"][0]
system, user = asked["messages"]
run = Agent(model, system_prompt=system["content"], model_settings={"temperature": 0}).run_sync(user["content"])
equal("answer", run.output, asked["answer"])
thinking = [part.content for each in run.all_messages() for part in each.parts if part.part_kind == "thinking"]
equal("thinking", thinking, [asked["think"]])
agent = Agent(
    model,
    system_prompt=system["content"],
    model_settings={"temperature": 0},
    output_type=NativeOutput(Advice),
)
advice = agent.run_sync(user["content"]).output
equal("native output", advice.model_dump(), facts["advice"])
done(version("pydantic-ai-slim"))
