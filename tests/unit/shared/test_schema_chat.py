"""What the engine is asked for a request that was accepted. What is refused: tests/contract."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.schema.chat import NOT_BUILT, ChatRequest, parse

MESSAGES = [{"role": "user", "content": "Hi"}]


def asked(**fields: Any) -> dict[str, Any]:
    """The engine's request without its messages."""
    request = parse({"model": "m", "messages": MESSAGES, **fields}).engine_request()
    assert request.pop("messages") == MESSAGES
    return request


def test_what_was_not_set_stays_unset() -> None:
    assert asked() == {}
    assert asked(temperature=None, stop=None, seed=None) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.0, "top_p": 0.0},
        {"frequency_penalty": 0.0, "presence_penalty": -2.0},
        {"max_tokens": 1},
        {"stop": ["a", "b"]},
        {"seed": 0},
    ],
)
def test_what_was_set_is_asked(fields: dict[str, Any]) -> None:
    assert asked(**fields) == fields


def test_one_stop_is_a_list_of_one() -> None:
    assert asked(stop="x") == {"stop": ["x"]}


def test_both_limits_are_one() -> None:
    assert asked(max_completion_tokens=5) == {"max_tokens": 5}
    assert asked(max_tokens=5, max_completion_tokens=5) == {"max_tokens": 5}


@pytest.mark.parametrize("seed", [0, 1, -1, 2**32 - 2, 2**32 - 1, 2**32, 2**63 - 1, -(2**63)])
def test_every_seed_is_one_that_the_engine_keeps(seed: int) -> None:
    kept = asked(seed=seed)["seed"]
    assert 0 <= kept < 2**32 - 1, "the highest means random"
    assert kept == asked(seed=seed)["seed"]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_is_one_that_the_engine_can_count_to(field: str) -> None:
    """llama.cpp keeps it in 32 bits: 2**32 + 2 would be two tokens."""
    assert asked(**{field: 2**31 - 1}) == {"max_tokens": 2**31 - 1}
    for value in (2**31, 2**32 + 2, 2**63):
        with pytest.raises(InvalidRequest) as refused:
            parse({"model": "m", "messages": MESSAGES, field: value})
        assert refused.value.param == field


def test_what_concerns_the_answer_only_is_not_asked() -> None:
    assert asked(stream=True, stream_options={"include_usage": True}, user="u") == {}


def test_include_usage() -> None:
    def includes(**fields: Any) -> bool:
        return parse({"model": "m", "messages": MESSAGES, **fields}).include_usage

    assert includes(stream=True, stream_options={"include_usage": True})
    assert not includes(stream=True, stream_options={"include_usage": False})
    assert not includes(stream=True, stream_options={})
    assert not includes(stream=True)


def test_no_field_is_both_built_and_not_built() -> None:
    assert not set(NOT_BUILT) & set(ChatRequest.model_fields)


def test_the_model_is_missed_before_anything_else() -> None:
    with pytest.raises(InvalidRequest, match="model is required"):
        parse({"temperature": 9})
