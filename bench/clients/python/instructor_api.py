"""Instructor: a pydantic model by JSON schema."""

import instructor
import openai
from client import done, equal, facts, server, version
from pydantic import BaseModel, Field


class Advice(BaseModel):
    advice: str = Field(max_length=40)
    urgent: bool


api = openai.OpenAI(base_url=server["url"] + "/v1", api_key="none", max_retries=0)
client = instructor.from_openai(api, mode=instructor.Mode.JSON_SCHEMA)
advice = client.chat.completions.create(
    model=server["model"],
    messages=facts["replies"][0]["messages"],
    response_model=Advice,
    temperature=0,
    max_retries=0,
)
equal("response model", advice.model_dump(), facts["advice"])
done(f"{version('instructor')}, openai {openai.__version__}")
