import pytest
from pydantic import field_validator

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import Body, json_type, nothing, param_of, parse_json, validate


class Inner(Body):
    flag: bool = False


class Outer(Body):
    name: str
    count: int | None = None
    inner: Inner | None = None

    @field_validator("count")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("Odd numbers are not supported")
        return value


def test_an_object_is_read() -> None:
    assert parse_json(b' {"a": [1, "\xc3\xa9"]} ') == {"a": [1, "é"]}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "name", "missing_required_parameter"),
        ({"name": None}, "name", "missing_required_parameter"),
        ({"name": 5}, "name", None),
        ({"name": "a", "count": "2"}, "count", None),
        ({"name": "a", "count": True}, "count", None),
        ({"name": "a", "count": 3}, "count", None),
        ({"name": "a", "inner": {"flag": 1}}, "inner.flag", None),
        ({"name": "a", "inner": {"flg": True}}, "inner.flg", "unknown_parameter"),
        ({"name": "a", "nmae": 1}, "nmae", "unknown_parameter"),
        ({"name": "a", "later": 1}, "later", "unsupported_parameter"),
    ],
)
def test_a_wrong_body_names_its_field(body: dict[str, object], param: str, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(Outer, body, {"later": nothing(0)})
    assert (refused.value.param, refused.value.code, refused.value.status) == (param, code, 400)
    assert param in refused.value.message
    assert isinstance(refused.value, UnsupportedParameter) == (code == "unsupported_parameter")


def test_a_right_body() -> None:
    body = {"name": "a", "count": None, "inner": {"flag": True}, "later": 0, "misspelt": None}
    assert validate(Outer, body, {"later": nothing(0)}) == Outer(name="a", inner=Inner(flag=True))


def test_a_message_of_ours_is_not_decorated() -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(Outer, {"name": "a", "count": 3}, {})
    assert refused.value.message == "Invalid value for 'count': odd numbers are not supported."


def test_the_value_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(Outer, {"name": ["the prompt"]}, {})
    assert "the prompt" not in refused.value.message


@pytest.mark.parametrize(
    ("location", "param"),
    [((), ""), (("a",), "a"), (("a", "b"), "a.b"), (("a", 0, "b", 1), "a[0].b[1]"), ((0,), "[0]")],
)
def test_param_of(location: tuple[int | str, ...], param: str) -> None:
    assert param_of(location) == param


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({}, "an object"),
        ([], "an array"),
        ("", "a string"),
        (True, "a boolean"),
        (None, "null"),
        (1, "a number"),
        (0.5, "a number"),
    ],
)
def test_json_type(value: object, name: str) -> None:
    assert json_type(value) == name


def test_nothing_compares_types_too() -> None:
    asks_nothing = nothing(1, False, "", {})
    assert all(asks_nothing(value) for value in (1, False, "", {}))
    assert not any(asks_nothing(value) for value in (True, 0, 1.0, [], "1", {"a": 1}, None))
