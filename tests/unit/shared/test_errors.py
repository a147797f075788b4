import pytest

from shared import errors
from shared.errors import BY_CODE, InvalidRequest, PunaError, from_code
from shared.frames import Failed

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PunaError)]
"""Every class of the module."""

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
"""`type` by status, as OpenAI has it; all others are `api_error`."""


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_has_openai_s_shape(kind: type[PunaError]) -> None:
    assert kind("words", param="field").body() == {
        "error": {
            "message": "words",
            "type": TYPES.get(kind.status, "api_error"),
            "param": "field",
            "code": kind.default_code,
        }
    }


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_same_on_the_other_side_of_redis(kind: type[PunaError]) -> None:
    sent = kind("words", param="field")
    received = Failed.of(sent).error()
    assert type(received) is kind
    assert (received.status, received.body()) == (sent.status, sent.body())


def test_codes_are_not_shared() -> None:
    codes = [kind.default_code for kind in KINDS if kind.default_code]
    assert len(set(codes)) == len(codes)
    assert set(BY_CODE) == set(codes)


def test_a_code_of_one_s_own_replaces_the_class_s() -> None:
    assert InvalidRequest("words", code="unknown_parameter").body()["error"]["code"] == "unknown_parameter"


def test_retry_after_is_a_header_only_where_it_is_set() -> None:
    assert errors.QueueFull("full", retry_after_s=3).headers() == {"retry-after": "3"}
    assert errors.QueueFull("full").headers() == {}
    assert "retry" not in str(errors.QueueFull("full", retry_after_s=3).body())


@pytest.mark.parametrize("code", [None, "", "of_a_later_version"])
def test_an_unknown_code_is_an_internal_error(code: str | None) -> None:
    error = from_code(code, "words", "field")
    assert (type(error), error.status, error.param) == (PunaError, 500, "field")
