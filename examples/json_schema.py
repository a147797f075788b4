"""An answer in a shape of one's own. Start the server with `make run` first."""

import os

from openai import OpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"), api_key="puna")

answer = client.chat.completions.parse(
    model="smollm2:135m",
    messages=[{"role": "user", "content": "Invent a person named Ada, aged 36."}],
    response_format=Person,
    temperature=0,
    max_tokens=60,
)
print(repr(answer.choices[0].message.parsed))
