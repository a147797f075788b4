"""Memory over turns, conversations, the background and counting, with the real model."""

import os
import subprocess
import sys
from typing import Any

import pytest
from openai import OpenAI

from infra.seeds.models import SMOLLM2
from tests.harness import ROOT, Stack
from tests.pictures import data_url, picture

pytestmark = [pytest.mark.engine, pytest.mark.redis]

MODEL = SMOLLM2.name

SECRET = "Repeat after me: the password is 'tangerine'."
ASK = "What is the password? Answer with the password only."

TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def test_a_second_turn_knows_what_only_the_first_said(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input=SECRET, temperature=0, max_output_tokens=40)
    second = client.responses.create(
        model=MODEL, input=ASK, previous_response_id=first.id, temperature=0, max_output_tokens=40
    )
    alone = client.responses.create(model=MODEL, input=ASK, temperature=0, max_output_tokens=40)
    assert "tangerine" in second.output_text.lower()
    assert "tangerine" not in alone.output_text.lower()


def test_a_conversation_knows_what_was_put_into_it(client: OpenAI) -> None:
    conversation = client.conversations.create(items=[{"role": "user", "content": SECRET}])
    client.conversations.items.create(
        conversation.id, items=[{"role": "assistant", "content": "The password is 'tangerine'."}]
    )
    answer = client.responses.create(
        model=MODEL, input=ASK, conversation=conversation.id, temperature=0, max_output_tokens=40
    )
    assert "tangerine" in answer.output_text.lower()
    assert len(list(client.conversations.items.list(conversation.id))) == 4


@pytest.mark.parametrize(
    "asked",
    [
        {"input": "Hello there, how are you?"},
        {"input": "Hi", "instructions": "Answer briefly: never say 'no'."},
        {"input": "What is the weather in Paris?", "tools": [TOOL]},
        {"input": "Name a colour.", "text": {"format": {"type": "json_object"}}},
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Repeat this word exactly:"},
                        {"type": "input_image", "image_url": data_url(picture("red"))},
                    ],
                }
            ]
        },
    ],
    ids=["text", "instructions", "tools", "json", "image"],
)
def test_the_count_is_what_a_response_then_uses(client: OpenAI, asked: dict[str, Any]) -> None:
    counted = client.responses.input_tokens.count(model=MODEL, **asked).input_tokens
    made = client.responses.create(model=MODEL, max_output_tokens=8, **asked)
    assert made.usage is not None
    assert counted == made.usage.input_tokens > 5


def test_the_example_runs_as_it_stands(real_stack: Stack) -> None:
    example = subprocess.run(
        [sys.executable, ROOT / "examples" / "background.py"],
        env={**os.environ, "OPENAI_BASE_URL": f"{real_stack.url}/v1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert example.returncode == 0, example.stderr
    assert example.stdout.splitlines()[-1].startswith(("completed", "incomplete"))
