"""Messages in their plain form. What is refused: tests/contract."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.schema.messages import normalise

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def text(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": each} for each in texts]


def image(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        ({"role": "user", "content": "Hi"}, {"role": "user", "content": "Hi"}),
        ({"role": "user", "content": ""}, {"role": "user", "content": ""}),
        ({"role": "developer", "content": "x"}, {"role": "system", "content": "x"}),
        ({"role": "system", "content": "x"}, {"role": "system", "content": "x"}),
        ({"role": "user", "content": text("a")}, {"role": "user", "content": "a"}),
        ({"role": "user", "content": text("a", "", "b")}, {"role": "user", "content": "a\n\nb"}),
        ({"role": "user", "content": "x", "name": "Ann"}, {"role": "user", "content": "x", "name": "Ann"}),
        ({"role": "user", "content": "x", "name": None}, {"role": "user", "content": "x"}),
        ({"role": "assistant", "content": "x", "tool_calls": [], "audio": None}, {"role": "assistant", "content": "x"}),
        (
            {"role": "assistant", "content": "x", "refusal": None, "whatever": None},
            {"role": "assistant", "content": "x"},
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [{**CALL, "index": 0}]},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
        ),
        (
            {"role": "assistant", "content": "x", "reasoning": "Hm", "reasoning_content": "Hm", "annotations": []},
            {"role": "assistant", "content": "x", "reasoning_content": "Hm"},
        ),
        (
            {"role": "tool", "content": text("a", "b"), "tool_call_id": "call_9"},
            {"role": "tool", "content": "a\nb", "tool_call_id": "call_9"},
        ),
        (
            {"role": "user", "content": [*text("a"), image("u1", detail="low"), *text("b"), image("u2")]},
            {"role": "user", "content": [*text("a"), image("u1"), *text("b"), image("u2")]},
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "u1"}]},
            {"role": "user", "content": [image("u1")]},
        ),
    ],
)
def test_one_message(message: dict[str, Any], plain: dict[str, str]) -> None:
    assert normalise([message]) == [plain]


def test_order_is_kept_and_nothing_is_changed_in_place() -> None:
    messages = [{"role": "user", "content": text("a", "b")}, {"role": "assistant", "content": "c"}]
    before = repr(messages)
    assert [message["content"] for message in normalise(messages)] == ["a\nb", "c"]
    assert repr(messages) == before


def test_a_tool_s_result_has_the_name_of_the_last_call_of_its_id() -> None:
    def result(**fields: Any) -> dict[str, Any]:
        return {"role": "tool", "content": "x", "tool_call_id": "call_1", **fields}

    other = {**CALL, "function": {"name": "g", "arguments": "{}"}}
    first = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    second = {"role": "assistant", "content": "", "tool_calls": [other]}
    names = [each.get("name") for each in normalise([result(), first, result(), second, result(), result(name="h")])]
    assert names == [None, None, "f", None, "g", "h"]


def test_a_refusal_is_what_was_said() -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I won't."}
    assert normalise([refused])[0]["content"] == "I won't."
    assert normalise([{**refused, "content": "Yes."}])[0]["content"] == "Yes."
    with pytest.raises(InvalidRequest) as caught:
        normalise([{**refused, "content": "Yes.", "refusal": 5}])
    assert caught.value.param == "messages[0].refusal"
