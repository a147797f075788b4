"""`POST /v1/embeddings`: what is refused, before anything is queued, and what is answered, by the real model."""

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests import minilm
from tests.contract.conftest import Api, refused
from tests.harness import Stack, running_stack

PATH = "/v1/embeddings"
MODEL = "all-minilm"


def post(api: Api, **fields: Any) -> httpx.Response:
    """A request that is in order but for `fields`; `...` leaves one out."""
    body = {"model": "fake", "input": "hello", **fields}
    return api.client.post(PATH, json={name: value for name, value in body.items() if value is not ...})


@pytest.mark.parametrize(
    ("fields", "param", "code", "message"),
    [
        ({"input": ...}, "input", "missing_required_parameter", "invalid input"),
        ({"input": None}, "input", "missing_required_parameter", "invalid input"),
        ({"input": []}, "input", None, "invalid input"),
        ({"input": 7}, "input", None, "invalid input type"),
        ({"input": True}, "input", None, "invalid input type"),
        ({"input": {"text": "a"}}, "input", None, "invalid input type"),
        ({"input": ["a", 1]}, "input[1]", None, "invalid input type"),
        ({"input": [1, "a"]}, "input", None, "invalid input type"),
        ({"input": [1.5]}, "input[0]", None, "invalid input type"),
        ({"input": [True]}, "input[0]", None, "invalid input type"),
        ({"input": [None]}, "input[0]", None, "invalid input type"),
        ({"input": [[1], "a"]}, "input[1]", None, "invalid input type"),
        ({"input": [[1], [2, "a"]]}, "input[1]", None, "invalid input type"),
        ({"input": [[1], []]}, "input[1]", None, "invalid input"),
        ({"input": [-1]}, "input", None, "token -1 is not in the model's vocabulary."),
        ({"input": [[2], [2**31]]}, "input[1]", None, "token 2147483648 is not in the model's vocabulary."),
        ({"input": ["a"] * 2049}, "input", None, "'input' has 2049 inputs; at most 2048 are allowed."),
        ({"input": [[1]] * 2049}, "input", None, "'input' has 2049 inputs; at most 2048 are allowed."),
        (
            {"encoding_format": "hex"},
            "encoding_format",
            None,
            "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64'].",
        ),
        (
            {"encoding_format": 5},
            "encoding_format",
            None,
            "Invalid value for 'encoding_format' = a number. Supported values: ['float', 'base64'].",
        ),
        ({"dimensions": 0}, "dimensions", None, None),
        ({"dimensions": -3}, "dimensions", None, None),
        ({"dimensions": "64"}, "dimensions", None, None),
        ({"dimensions": 1.5}, "dimensions", None, None),
        ({"truncate": "yes"}, "truncate", None, None),
        ({"user": 5}, "user", None, None),
        ({"user": "u" * 513}, "user", None, None),
        ({"model": 5}, "model", None, None),
        ({"stream": True}, "stream", "unknown_parameter", "Unknown parameter: 'stream'."),
        ({}, "model", None, '"fake" does not support embeddings'),
        ({"model": "FAKE:latest"}, "model", None, '"FAKE:latest" does not support embeddings'),
        ({"model": "a b"}, "model", None, None),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(api: Api, fields: Any, param: str, code: str | None, message: str | None) -> None:
    said = refused(post(api, **fields), 400, param=param, code=code)
    assert message is None or said == message


@pytest.mark.parametrize("model", [..., None, ""])
def test_a_missing_model_is_an_unknown_one(api: Api, model: Any) -> None:
    answer = post(api, model=model)
    assert refused(answer, 404, param="model", code="model_not_found", type="not_found_error") == "model '' not found"


def test_an_unknown_model_is_named(api: Api) -> None:
    answer = post(api, model="nothing:7b")
    said = refused(answer, 404, param="model", code="model_not_found", type="not_found_error")
    assert said == 'model "nothing:7b" not found, try pulling it first'


def test_nothing_of_it_was_queued(api: Api) -> None:
    post(api)
    assert api.stack.residue() == {}


# What follows is answered by the real model.


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = {"PUNA_CATALOG": str(minilm.catalog()), "PUNA_MODEL": MODEL, "PUNA_ENGINE": "xllamacpp"}
    with running_stack(tmp_path_factory.mktemp("embeddings"), **environ) as stack:
        stack.start_worker()
        stack.start_api()
        yield stack


@pytest.fixture(scope="module")
def embedder(embeddings: Stack) -> Iterator[Api]:
    with httpx.Client(base_url=embeddings.url, timeout=60) as client:
        yield Api(embeddings, embeddings.url, client)


def ask(api: Api, **fields: Any) -> Any:
    answer = post(api, model=MODEL, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


@pytest.mark.engine
@pytest.mark.parametrize(
    ("asked", "count", "tokens"),
    [
        ("hello", 1, 3),
        ("", 1, 2),
        (["hello", "", "hello world"], 3, 9),
        ([101, 7592, 102], 1, 3),
        ([[101, 7592, 102], [101, 102]], 2, 5),
    ],
    ids=["string", "empty", "strings", "tokens", "token arrays"],
)
def test_every_form_of_input(embedder: Api, asked: Any, count: int, tokens: int) -> None:
    body = ask(embedder, input=asked)
    assert set(body) == {"object", "data", "model", "usage"}
    assert (body["object"], body["model"]) == ("list", MODEL)
    assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert [(row["object"], row["index"]) for row in body["data"]] == [("embedding", index) for index in range(count)]
    for row in body["data"]:
        assert set(row) == {"object", "index", "embedding"}
        assert len(row["embedding"]) == 384
        assert math.hypot(*row["embedding"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.engine
@pytest.mark.parametrize("name", ["base64", "BASE64"])
def test_base64_holds_the_same_numbers(embedder: Api, name: str) -> None:
    numbers = ask(embedder, input=["hello"], encoding_format="Float")["data"][0]["embedding"]
    text = ask(embedder, input=["hello"], encoding_format=name)["data"][0]["embedding"]
    assert list(struct.unpack("<384f", base64.b64decode(text))) == pytest.approx(numbers, abs=1e-6)


@pytest.mark.engine
@pytest.mark.parametrize("dimensions", [1, 64, 384])
def test_fewer_dimensions_are_the_first_ones_at_length_one(embedder: Api, dimensions: int) -> None:
    whole = ask(embedder, input="hello")["data"][0]["embedding"]
    short = ask(embedder, input="hello", dimensions=dimensions)["data"][0]["embedding"]
    assert len(short) == dimensions
    assert math.hypot(*short) == pytest.approx(1, abs=1e-5)
    assert cosine(short, whole[:dimensions]) == pytest.approx(1, abs=1e-5)


@pytest.mark.engine
def test_more_dimensions_than_there_are(embedder: Api) -> None:
    said = refused(post(embedder, model=MODEL, dimensions=385), 400, param="dimensions", code=None)
    assert said == "Invalid value for 'dimensions': 385 is more than the model's 384."


@pytest.mark.engine
def test_too_long_an_input_and_truncate(embedder: Api) -> None:
    text = "word " * 300
    answer = post(embedder, model=MODEL, input=["short", text])
    said = refused(answer, 400, param="input", code="context_length_exceeded")
    assert "256 tokens" in said
    assert "'input[1]' has 302 tokens" in said
    assert ask(embedder, input=["short", text], truncate=True)["usage"]["prompt_tokens"] == 3 + 256


@pytest.mark.engine
def test_tokens_of_another_models_vocabulary(embedder: Api) -> None:
    """LangChain's default client sends OpenAI's own tokens: those that exist here are taken, others are named."""
    assert len(ask(embedder, input=[[2028, 374, 264, 1296]], encoding_format="base64")["data"]) == 1
    answer = post(embedder, model=MODEL, input=[[2028, 374], [15339, 1917, 100264]])
    assert "token 100264 is not in" in refused(answer, 400, param="input[1]", code=None)


@pytest.mark.engine
@pytest.mark.slow
def test_as_many_inputs_as_may_be(embedder: Api) -> None:
    body = ask(embedder, input=[f"text {number}" for number in range(2048)], encoding_format="base64")
    assert [row["index"] for row in body["data"]] == list(range(2048))
    for number in (0, 1000, 2047):
        alone = ask(embedder, input=f"text {number}")["data"][0]["embedding"]
        among = struct.unpack("<384f", base64.b64decode(body["data"][number]["embedding"]))
        assert cosine(alone, list(among)) > 0.9999
    assert embedder.stack.residue() == {}


@pytest.mark.engine
def test_the_sdk_reads_it(embedder: Api) -> None:
    with openai.OpenAI(base_url=f"{embedder.url}/v1", api_key="any", max_retries=0) as client:
        by_default = client.embeddings.create(model=MODEL, input=["a cat", "a kitten", "a tax return"])  # asks base64
        as_floats = client.embeddings.create(model=MODEL, input=["a cat"], encoding_format="float", user="me")
        cat, kitten, tax = (row.embedding for row in by_default.data)
        assert as_floats.data[0].embedding == pytest.approx(cat, abs=1e-5)
        assert by_default.usage.prompt_tokens == by_default.usage.total_tokens == 13
        assert cosine(cat, kitten) > cosine(cat, tax)
        assert not by_default.model_extra
        with pytest.raises(openai.BadRequestError, match="is more than the model's 384"):
            client.embeddings.create(model=MODEL, input="a", dimensions=1000)
