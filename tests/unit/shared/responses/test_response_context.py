"""Items as a chat: turns, calls with their results, thoughts, references."""

from typing import Any

import pytest

from shared.errors import InvalidRequest, NotFound, PunaError
from shared.frames import Delta, Done, Finish, Started, Thought, ToolDelta
from shared.responses.context import Conversation, carried, conversation, placed, references, referred
from shared.responses.events import ResponseEvents
from shared.responses.failure import in_its_terms, response_error
from shared.responses.head import Head
from shared.responses.seal import Seal
from shared.schema.response_items import items_of

ID = "resp_" + "0123456789abcdef" * 2
RED = "data:image/png;base64,AAAA"

SEAL = Seal(bytes(32), "a")


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def call(number: int, arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": f"c{number}", "name": f"f{number}", "arguments": arguments}


def output(number: int, value: Any = "ok") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": f"c{number}", "output": value}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}


def chat(*items: dict[str, Any], instructions: str | None = None) -> list[dict[str, Any]]:
    return talk(*items, instructions=instructions).messages


def talk(*items: dict[str, Any], instructions: str | None = None) -> Conversation:
    return conversation(placed(items_of(list(items))), instructions, SEAL.open)


def test_a_string_is_a_message_of_the_user() -> None:
    assert conversation(placed(items_of("Hi")), "Be kind.").messages == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
    ]


def test_a_turn_of_the_assistant_is_one_message() -> None:
    messages = chat(
        user("?"), thought("hm"), {"role": "assistant", "content": "Wait."}, call(1), call(2), output(1), output(2)
    )
    assert messages[1] == {
        "role": "assistant",
        "reasoning_content": "hm",
        "content": "Wait.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f1", "arguments": "{}"}},
            {"id": "c2", "type": "function", "function": {"name": "f2", "arguments": "{}"}},
        ],
    }
    assert [(each["role"], each.get("name")) for each in messages[2:]] == [("tool", "f1"), ("tool", "f2")]


def test_words_between_a_call_and_its_result_belong_to_the_turn() -> None:
    messages = chat(user("?"), call(1), {"role": "assistant", "content": "Calling."}, output(1))
    assert [each["role"] for each in messages] == ["user", "assistant", "tool"]
    assert messages[1]["content"] == "Calling."


def test_after_a_result_a_call_begins_a_new_turn() -> None:
    messages = chat(user("?"), call(1), output(1), thought("more"), call(2), output(2))
    assert [each["role"] for each in messages] == ["user", "assistant", "tool", "assistant", "tool"]
    assert messages[3]["reasoning_content"] == "more"
    assert messages[3]["content"] == ""


def test_two_answers_are_two_turns_and_so_are_two_thoughts_about_them() -> None:
    said = {"role": "assistant", "content": "a"}
    assert [each["role"] for each in chat(said, said)] == ["assistant", "assistant"]
    assert len(chat(thought("x"), said, thought("y"), said)) == 2
    assert chat(thought("x"), thought("y"), said)[0]["reasoning_content"] == "x\ny"


def test_texts_are_joined_and_pictures_keep_their_place() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    picture = {"type": "input_image", "image_url": RED, "detail": "low"}
    assert chat({"role": "developer", "content": parts}) == [{"role": "system", "content": "a\nb"}]
    (message,) = chat({"type": "message", "role": "user", "content": [picture, *parts]})
    assert [part["type"] for part in message["content"]] == ["image_url", "text", "text"]
    assert chat(call(1), output(1, [parts[0], picture]))[1]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": RED},
    }


def test_every_message_knows_its_place_in_the_request() -> None:
    made = talk(user("a"), call(1), output(1), instructions="i")
    assert made.places == ["instructions", "input[0].content", "input[1].content", "input[2].output"]
    earlier = conversation(carried(items_of("x"), "previous_response_id"))
    assert earlier.places == ["previous_response_id"]


def test_an_answer_of_ours_can_be_sent_back() -> None:
    """As the SDK does it: the items of the output as they are, the encrypted thought among them."""
    view = ResponseEvents(Head(ID, 1, "m", encrypted=True), SEAL.seal)
    view.read([Started("w", "f"), Thought("hm"), Delta("Hi"), ToolDelta(0, '{"a":1}', "c1", "f"), Finish("tool_calls")])
    view.read([Done(1, 1)])
    items = view.response["output"]
    items[0] = {**items[0], "content": []}
    (turn, result) = chat(*items, output(1))
    assert (turn["reasoning_content"], turn["content"]) == ("hm", "Hi")
    assert turn["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert result["name"] == "f"


@pytest.mark.parametrize(
    ("items", "param"),
    [
        pytest.param([output(1)], "input[0].call_id", id="no such call"),
        pytest.param([output(1), call(1)], "input[0].call_id", id="before its call"),
        pytest.param([user("a"), thought("hm")], "input[1].content", id="a thought at the end"),
        pytest.param([{**thought(""), "encrypted_content": "AQ=="}, user("")], "input[0].encrypted_content", id="cut"),
        pytest.param(
            [{**thought(""), "encrypted_content": "é"}, user("")], "input[0].encrypted_content", id="not base64"
        ),
    ],
)
def test_a_conversation_that_cannot_be_is_refused(items: list[dict[str, Any]], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        talk(*items)
    assert caught.value.param == param


def test_a_seal_is_its_owners_and_its_keys() -> None:
    sealed = SEAL.seal("secret thought", "rs_1")
    assert SEAL.open(sealed) == "secret thought"
    assert sealed == SEAL.seal("secret thought", "rs_1") != SEAL.seal("secret thought", "rs_2")
    changed = sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")
    for seal, text in ((Seal(bytes(32), "b"), sealed), (Seal(bytes([1]) * 32, "a"), sealed), (SEAL, changed)):
        with pytest.raises(InvalidRequest) as caught:
            seal.open(text)
        assert caught.value.code == "invalid_encrypted_content"


def test_a_seal_without_a_key_names_the_setting() -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": "AAAA"}
    with pytest.raises(InvalidRequest, match="PUNA_STATE_KEY"):
        conversation(placed([item]))


def test_references_are_replaced_by_what_they_refer_to() -> None:
    items = placed(items_of([{"id": "msg_1"}, {"type": "item_reference", "id": "msg_2"}, {"id": "msg_1"}]))
    assert references(items) == ["msg_1", "msg_2"]
    one, two = items_of("one")[0], items_of("two")[0]
    whole = referred(items, {"msg_1": one, "msg_2": two})
    assert [each["content"] for each in conversation(whole).messages] == ["one", "two", "one"]
    with pytest.raises(NotFound) as caught:
        referred(items, {"msg_1": one})
    assert caught.value.param == "input[1].id"


@pytest.mark.parametrize(
    ("param", "shown"),
    [
        ("messages", "input"),
        ("messages[0].content[1].image_url", "input[0].content[1].image_url"),
        ("messages[1].content[0].image_url", "previous_response_id"),
        ("messages[7].content", "input"),
        ("response_format.json_schema.schema.not", "text.format.schema.not"),
        ("tools[1].function.parameters.pattern", "tools[1].parameters.pattern"),
        ("tools[0].type", "tools[0].type"),
        (None, None),
    ],
)
def test_an_error_of_a_chat_speaks_of_the_responses_fields(param: str | None, shown: str | None) -> None:
    error = InvalidRequest("see 'messages' and 'response_format'", param=param)
    in_its_terms(error, ["input[0].content", "previous_response_id"])
    assert (error.param, error.message) == (shown, "see 'input' and 'text.format'")


def test_an_error_of_a_response_has_a_code_of_the_closed_list() -> None:
    assert response_error(InvalidRequest("no"))["code"] == "invalid_prompt"
    assert response_error(InvalidRequest("no", code="invalid_image_url"))["code"] == "invalid_image_url"
    assert response_error(PunaError("no")) == {"code": "server_error", "message": "no"}
