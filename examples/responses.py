"""The Responses API: a stream of typed events, and an answer in a schema. Start the server with `make run` first."""

import os

from openai import OpenAI
from pydantic import BaseModel

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"), api_key="puna")


class Person(BaseModel):
    name: str
    age: int


with client.responses.stream(
    model="smollm2:135m",
    instructions="Answer in one sentence.",
    input="Which city is the capital of France?",
    temperature=0,
    max_output_tokens=40,
) as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
    print()
    print(stream.get_final_response().usage)

parsed = client.responses.parse(
    model="smollm2:135m",
    input="Ada is 36 years old. Write her name and age as JSON.",
    text_format=Person,
    temperature=0,
    max_output_tokens=60,
)
print(repr(parsed.output_parsed))
