"""A tool loop with the Responses API: the model calls, the program answers, the model goes on.

A model this small does not decide well by itself when to call, so the first turn makes it (`tool_choice`).
Start the server with `make run` first.
"""

import json
import os
from typing import Any

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"), api_key="puna")

TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    }
]


def get_weather(city: str) -> str:
    return f"It is sunny in {city}, 21 degrees."


items: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
choice: Any = "required"
while True:
    answer = client.responses.create(
        model="smollm2:135m", input=items, tools=TOOLS, tool_choice=choice, temperature=0, max_output_tokens=80
    )
    calls = [item for item in answer.output if item.type == "function_call"]
    if not calls:
        print(answer.output_text)
        break
    items += answer.output
    for call in calls:
        arguments = json.loads(call.arguments)
        print(call.name, arguments)
        result = get_weather(**arguments)
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    choice = "none"
