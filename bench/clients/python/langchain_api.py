"""LangChain: ChatOpenAI invoked, streamed, in a batch, and with structured output."""

from client import done, equal, facts, server, version
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field


class Advice(BaseModel):
    advice: str = Field(max_length=40)
    urgent: bool


chat = ChatOpenAI(model=server["model"], base_url=server["url"] + "/v1", api_key="none", temperature=0)
chats = [each["messages"] for each in facts["replies"]]
answers = [each["answer"] for each in facts["replies"]]
said = [chat.invoke(each) for each in chats]
equal("answers", [each.content for each in said], answers)
equal(
    "usage",
    [each.usage_metadata["total_tokens"] for each in said],
    [each["promptTokens"] + each["newTokens"] for each in facts["replies"]],
)
equal("streamed", ["".join(part.content for part in chat.stream(each)) for each in chats], answers)
equal("batch", [each.content for each in chat.batch(chats)], answers)
advice = chat.with_structured_output(Advice, method="json_schema").invoke(chats[0])
equal("structured output", advice.model_dump(), facts["advice"])
done(version("langchain-openai"))
