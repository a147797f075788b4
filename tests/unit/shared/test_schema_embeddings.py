from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.schema.embeddings import EmbeddingsRequest, parse


def asked(**fields: Any) -> EmbeddingsRequest:
    return parse({"model": "m", "input": "text", **fields})


@pytest.mark.parametrize(
    ("value", "count"),
    [("", 1), ("a", 1), (["a", ""], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a"] * 2048, 2048), ([1] * 5000, 1)],
    ids=["empty", "string", "strings", "tokens", "arrays", "most", "many tokens"],
)
def test_the_input_reaches_the_engine_in_the_callers_form(value: Any, count: int) -> None:
    request = asked(input=value)
    assert request.inputs == count
    assert request.engine_request() == {"input": value, "truncate": False}


def test_the_format_is_known_in_any_case() -> None:
    assert not asked().base64
    assert not asked(encoding_format=None).base64
    assert not asked(encoding_format="FLOAT").base64
    assert asked(encoding_format="Base64").base64


def test_an_absent_model_is_left_to_the_handler() -> None:
    assert parse({"input": "a"}).model == ""
    assert parse({"input": "a", "model": None}).model == ""


def test_null_is_absent() -> None:
    request = asked(dimensions=None, user=None, truncate=None)
    assert (request.dimensions, request.user, request.truncate) == (None, None, False)


def test_the_first_fault_in_a_list_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"^invalid input type$") as caught:
        asked(input=["a", "b", ["c"], 4])
    assert caught.value.param == "input[2]"


def test_the_document_tells_the_four_forms() -> None:
    schema = EmbeddingsRequest.model_json_schema()["properties"]
    assert [each["type"] for each in schema["input"]["anyOf"]] == ["string", "array", "array", "array"]
    assert schema["encoding_format"]["enum"] == ["float", "base64"]
