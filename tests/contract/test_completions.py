"""What `POST /v1/completions` refuses, with the field's name, before anything is queued.

What is answered: tests/e2e/test_completions_engine.py, as only a real model has tokens.
"""

from typing import Any

import httpx
import pytest

from shared.schema.completions import MAX_CHOICES, CompletionRequest
from tests.contract.conftest import Api, refused

pytestmark = pytest.mark.redis

PATH = "/v1/completions"
UNKNOWN = "unknown_parameter"
MISSING = "missing_required_parameter"


def post(api: Api, **fields: Any) -> httpx.Response:
    """A request that is in order but for `fields`; `...` leaves one out."""
    body = {"model": "fake", "prompt": "Hi", **fields}
    return api.client.post(PATH, json={name: value for name, value in body.items() if value is not ...})


@pytest.mark.parametrize("value", [..., None, ""], ids=["absent", "null", "empty"])
def test_no_model(value: Any, api: Api) -> None:
    answer = post(api, model=value)
    message = refused(answer, 404, param="model", code="model_not_found", type="not_found_error")
    assert message == "model '' not found"


def test_an_unknown_or_malformed_model(api: Api) -> None:
    answer = post(api, model="nobody")
    message = refused(answer, 404, param="model", code="model_not_found", type="not_found_error")
    assert message == "model 'nobody' not found"
    assert refused(post(api, model="fa ke"), 400, param="model", code=None) == "invalid model name"
    refused(post(api, model=5), 400, param="model", code=None)


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (5, "prompt"),
        (True, "prompt"),
        ({"text": "Hi"}, "prompt"),
        ([], "prompt"),
        ([[]], "prompt[0]"),
        ([None], "prompt[0]"),
        ([1.5], "prompt[0]"),
        ([True], "prompt[0]"),
        ([1, "a"], "prompt"),
        (["a", 1], "prompt[1]"),
        ([[1], "a"], "prompt[1]"),
        ([-1], "prompt"),
        ([[1], [2**31]], "prompt[1]"),
        (["a"] * (MAX_CHOICES + 1), "prompt"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_prompt_that_is_none(value: Any, param: str, api: Api) -> None:
    refused(post(api, prompt=value), 400, param=param, code=None)


WRONG: dict[str, list[Any]] = {
    "best_of": [0, -1, 21, 1.5, "2", True],
    "echo": [1, "true", []],
    "frequency_penalty": [-2.1, 2.1, "1", True],
    "logit_bias": [[], "5", {"a": 1}, {"-1": 1}],
    "logprobs": [-1, 6, 1.5, "1", True],
    "max_tokens": [-1, 1.5, "5", True, 2**31],
    "n": [0, -1, MAX_CHOICES + 1, 1.5, "2", True],
    "presence_penalty": [-2.1, 2.1, "1", True],
    "seed": [2**63, 1.5, "1", True],
    "stop": [5, "", ["a", ""], ["a", 5], ["a", "b", "c", "d", "e"]],
    "stream": [1, "true"],
    "suffix": [5, True, []],
    "temperature": [-0.1, 2.1, "1", True],
    "top_p": [-0.1, 1.1, "1", True],
    "user": [5, "u" * 513],
    "response_format": ["json", []],
    "options": [[], "top_k"],
    "keep_alive": ["soon", True],
    "top_k": [-2, 1.5],
    "min_p": [-0.1, 1.1],
    "repeat_penalty": [0],
}
"""Values that a field cannot have."""


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_value_that_cannot_be(name: str, value: Any, api: Api) -> None:
    assert name in refused(post(api, **{name: value}), 400, param=name, code=None)


def test_every_field_of_the_schema_is_built() -> None:
    names = {"model", "prompt", "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n"}
    names |= {"presence_penalty", "seed", "stop", "stream", "stream_options", "suffix", "temperature", "top_p", "user"}
    assert len(names) == 18, "OpenAI's schema has 18 fields"
    assert set(CompletionRequest.model_fields) - names == set(WRONG) - names


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"n": 3, "best_of": 2}, "best_of", None),
        ({"n": 1, "best_of": 2, "stream": True}, "best_of", None),
        ({"prompt": ["a", "b"], "n": MAX_CHOICES // 2 + 1}, "prompt", None),
        ({"prompt": ["a"] * 20, "best_of": 7}, "prompt", None),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage", None),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage", UNKNOWN),
        ({"logit_bias": {"5": 101}}, "logit_bias.5", None),
        ({"response_format": {}}, "response_format.type", MISSING),
        ({"response_format": {"type": "xml"}}, "response_format.type", None),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", MISSING),
        ({"options": {"num_ctx": 1 << 20}}, "options.num_ctx", None),
        ({"options": {"num_gpu": 1}}, "options.num_gpu", "unsupported_parameter"),
        ({"options": {"top_k": 1}, "top_k": 2}, "options.top_k", None),
        ({"keep_alive": "1e3"}, "keep_alive", None),
    ],
    ids=str,
)
def test_fields_that_do_not_go_together(fields: dict[str, Any], param: str, code: str | None, api: Api) -> None:
    refused(post(api, **fields), 400, param=param, code=code)


@pytest.mark.parametrize("name", ["messages", "max_completion_tokens", "tools", "top_logprobs", "Prompt", "raw", ""])
def test_an_unknown_field(name: str, api: Api) -> None:
    assert repr(name) in refused(post(api, **{name: 1}), 400, param=name, code=UNKNOWN)


@pytest.mark.parametrize("stream", [False, True])
def test_a_gap_for_a_model_that_cannot_fill_it(stream: bool, api: Api) -> None:
    message = refused(post(api, suffix="end", stream=stream), 400, param="suffix", code="unsupported_parameter")
    assert message == "registry.ollama.ai/library/fake:latest does not support insert"


def test_nothing_was_queued_in_vain(api: Api) -> None:
    refused(post(api, temperature=3, stream=True), 400, param="temperature", code=None)
    refused(post(api, suffix="end"), 400, param="suffix", code="unsupported_parameter")
    assert api.stack.residue() == {}
