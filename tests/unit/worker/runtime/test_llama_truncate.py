"""Which turns are left out of a conversation that is too long."""

from typing import Any

from shared.errors import ContextLengthExceeded
from worker.runtime.llama_truncate import shortened


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be kind."}

CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}

RESULT = {"role": "tool", "tool_call_id": "c", "content": "5"}


def too_long(tokens: int, context: int = 1000) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        f"This model's maximum context length is {context} tokens. "
        f"However, your messages resulted in {tokens} tokens. Please reduce the length of the messages."
    )


def left(messages: list[dict[str, Any]], error: ContextLengthExceeded, **fields: Any) -> list[dict[str, Any]]:
    shorter = shortened({"messages": messages, **fields}, error)
    assert shorter is not None
    found: list[dict[str, Any]] = shorter["messages"]
    return found


def test_the_oldest_turns_go_and_the_system_stays() -> None:
    turns = [[user(f"{k}" * 100), said("x" * 100)] for k in range(10)]
    messages = [SYSTEM, *(message for turn in turns for message in turn), user("now")]
    assert left(messages, too_long(1001), max_tokens=1) == [SYSTEM, *messages[3:]]
    assert left(messages, too_long(2000), max_tokens=1) == [SYSTEM, *messages[13:]]


def test_a_call_goes_with_its_result() -> None:
    messages = [user("a"), CALL, RESULT, said("five"), user("b"), CALL, RESULT]
    assert left(messages, too_long(1001), max_tokens=1) == messages[4:]


def test_room_is_left_for_the_answer() -> None:
    messages = [*(user("x" * 100) for _ in range(10)), user("now")]
    short, long = left(messages, too_long(1000), max_tokens=1), left(messages, too_long(1000))
    assert len(short) == 10
    assert len(long) == 8, "a fourth of the context"


def test_the_last_turn_is_never_left_out() -> None:
    assert shortened({"messages": [SYSTEM, user("x" * 9000), CALL, RESULT]}, too_long(3000)) is None
    assert left([user("a"), user("x" * 9000)], too_long(3000)) == [user("x" * 9000)]


def test_without_numbers_it_is_one_turn_at_a_time() -> None:
    assert left([user("a"), user("b"), user("c")], ContextLengthExceeded("too long")) == [user("b"), user("c")]


def test_pictures_weigh_something() -> None:
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    assert left([picture, user("a" * 100), user("b")], too_long(1100), max_tokens=1) == [user("a" * 100), user("b")]
