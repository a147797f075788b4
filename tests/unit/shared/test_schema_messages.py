"""Messages in their plain form. What is refused: tests/contract."""

from typing import Any

import pytest

from shared.schema.messages import normalise


def text(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": each} for each in texts]


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
    ],
)
def test_one_message(message: dict[str, Any], plain: dict[str, str]) -> None:
    assert normalise([message]) == [plain]


def test_order_is_kept_and_nothing_is_changed_in_place() -> None:
    messages = [{"role": "user", "content": text("a", "b")}, {"role": "assistant", "content": "c"}]
    before = repr(messages)
    assert [message["content"] for message in normalise(messages)] == ["a\nb", "c"]
    assert repr(messages) == before
