"""What the worker is asked for a completion that was accepted. What is refused: tests/contract."""

from typing import Any

import pytest

from shared.errors import InvalidRequest, ModelNotFound
from shared.schema.completions import MAX_CHOICES, parse


def asked(**fields: Any) -> dict[str, Any]:
    return parse({"model": "m", "prompt": "Hi", **fields}).engine_request()


def refused(**fields: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        asked(**fields)
    return caught.value.param


def test_what_was_not_set_stays_unset() -> None:
    assert asked() == {"prompts": ["Hi"]}
    assert asked(max_tokens=None, echo=False, suffix="", response_format={"type": "text"}) == {"prompts": ["Hi"]}


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("Hi", ["Hi"]),
        ("", [""]),
        (None, [""]),
        (["a", "b"], ["a", "b"]),
        ([""], [""]),
        ([1, 2], [[1, 2]]),
        ([0], [[0]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
    ],
)
def test_a_prompt_is_a_list_of_prompts(prompt: Any, prompts: list[Any]) -> None:
    assert asked(prompt=prompt)["prompts"] == prompts


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        (5, "prompt"),
        (True, "prompt"),
        ({}, "prompt"),
        ([], "prompt"),
        ([[]], "prompt[0]"),
        ([1, "a"], "prompt"),
        ([1, True], "prompt"),
        ([1.5], "prompt[0]"),
        ([True], "prompt[0]"),
        ([None], "prompt[0]"),
        (["a", 1], "prompt[1]"),
        (["a", None], "prompt[1]"),
        (["a", [1]], "prompt[1]"),
        ([[1], "a"], "prompt[1]"),
        ([[1], [2, "a"]], "prompt[1]"),
        ([-1], "prompt"),
        ([2**31], "prompt"),
        ([[1], [2**63]], "prompt[1]"),
        (["a"] * (MAX_CHOICES + 1), "prompt"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_prompt_that_is_none(prompt: Any, param: str) -> None:
    assert refused(prompt=prompt) == param


def test_sampling_is_shared_with_chat() -> None:
    fields = {"temperature": 0.5, "top_p": 0.5, "seed": 3, "presence_penalty": 1.0, "logit_bias": {"5": -100}, "n": 2}
    assert asked(**fields, stop="x") == {"prompts": ["Hi"], **fields, "stop": ["x"]}
    assert asked(top_k=5, options={"min_p": 0.1})["options"] == {"top_k": 5, "min_p": 0.1}


def test_what_completions_have_alone() -> None:
    fields = {"suffix": " end", "best_of": 3, "echo": True, "logprobs": 0, "max_tokens": 0}
    assert asked(**fields) == {"prompts": ["Hi"], **fields}
    assert asked(response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}


def test_no_limit_is_asked_for_by_name() -> None:
    """Left out, it would be the default of 16 tokens."""
    assert asked(options={"num_predict": -1})["max_tokens"] == -1
    assert asked(options={"num_predict": 5})["max_tokens"] == 5
    assert asked(options={"num_predict": -1}, max_tokens=7)["max_tokens"] == 7


def test_candidates() -> None:
    assert asked(n=3, best_of=3, stream=True)["best_of"] == 3
    assert refused(n=3, best_of=2) == "best_of"
    assert refused(n=2, best_of=3, stream=True) == "best_of"
    assert refused(best_of=21) == "best_of"
    assert refused(best_of=0) == "best_of"
    assert asked(n=MAX_CHOICES)["n"] == MAX_CHOICES
    assert refused(n=MAX_CHOICES + 1) == "n"
    assert refused(n=MAX_CHOICES // 2 + 1, prompt=["a", "b"]) == "prompt"
    assert refused(prompt=["a"] * 20, best_of=10) == "prompt"


def test_usage_is_for_streams() -> None:
    assert parse({"model": "m", "stream": True, "stream_options": {"include_usage": True}}).include_usage
    assert not parse({"model": "m", "stream": True}).include_usage
    assert refused(stream_options={"include_usage": True}) == "stream_options"


@pytest.mark.parametrize("model", [None, ""])
def test_no_model_is_not_found_as_in_the_reference(model: str | None) -> None:
    with pytest.raises(ModelNotFound, match=r"^model '' not found$"):
        parse({"model": model, "prompt": 5})
