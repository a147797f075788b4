"""The `ollama` package on the real model: its view of an answer is the one that OpenAI's client has."""

import io
from collections.abc import Iterator

import ollama
import pytest
from openai import OpenAI
from PIL import Image
from pydantic import BaseModel

from infra.seeds.models import SMOLLM2
from tests.harness import Stack

pytestmark = [pytest.mark.engine, pytest.mark.redis]

MODEL = SMOLLM2.name
SAME = {"temperature": 0, "seed": 7, "num_predict": 12}
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def client(real_stack: Stack) -> Iterator[ollama.Client]:
    client = ollama.Client(host=real_stack.url)
    yield client
    client.close()


def test_a_chat_is_the_same_in_both_protocols(client: ollama.Client, real_stack: Stack) -> None:
    with OpenAI(base_url=f"{real_stack.url}/v1", api_key="any", max_retries=0) as openai:
        theirs = openai.chat.completions.create(
            model=MODEL,
            messages=ASKED,
            temperature=0,
            seed=7,
            max_tokens=12,  # type: ignore[arg-type]
        )
    whole = client.chat(MODEL, ASKED, options=SAME)
    streamed = list(client.chat(MODEL, ASKED, options=SAME, stream=True))
    generated = client.generate(MODEL, ASKED[1]["content"], system="Be brief.", options=SAME)
    assert whole.message.content == theirs.choices[0].message.content
    assert "".join(part.message.content or "" for part in streamed) == whole.message.content
    assert generated.response == whole.message.content
    assert theirs.usage is not None
    assert (whole.prompt_eval_count, whole.eval_count) == (theirs.usage.prompt_tokens, theirs.usage.completion_tokens)


def test_generate_goes_on_from_a_raw_prompt(client: ollama.Client) -> None:
    answer = client.generate(MODEL, "One, two, three, four,", raw=True, options={"temperature": 0, "num_predict": 3})
    assert "five" in (answer.response or "")
    assert answer.done_reason == "length"


def test_a_format_holds(client: ollama.Client) -> None:
    class City(BaseModel):
        name: str
        large: bool

    answer = client.chat(MODEL, ASKED, format=City.model_json_schema(), options={"temperature": 0, "num_predict": 60})
    City.model_validate_json(answer.message.content or "")


def test_a_picture(client: ollama.Client) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), (255, 0, 0)).save(picture, "PNG")
    said = {"role": "user", "content": "Repeat this word exactly:", "images": [picture.getvalue()]}
    answer = client.chat(MODEL, [said], options={"temperature": 0, "num_predict": 8})
    assert "red" in (answer.message.content or "").lower()


def test_show_reads_the_weights(client: ollama.Client) -> None:
    told = client.show(MODEL)
    assert told.modelinfo is not None
    assert told.modelinfo["llama.context_length"] == 8192
    assert told.modelinfo["general.parameter_count"] == 134_515_008
    assert told.capabilities == ["completion", "vision", "tools"]
    assert "<|im_start|>" in (told.template or "")
