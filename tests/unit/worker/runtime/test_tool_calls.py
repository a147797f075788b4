"""Constrained text becomes calls while it comes, however it is cut."""

import json
import re

import pytest

from shared.frames import Delta, Event, Finish, ToolDelta
from worker.runtime.tool_calls import CallReader

TEXT = """[
  {"name": "weather", "arguments": {"city": "Par \\"is\\" ]}", "days": [1, {"a" : 2}]}},
  { "name":"now" , "arguments" : { } }
]"""


def read(texts: list[str], reason: str = "stop") -> list[Event]:
    reader = CallReader(3)
    events = [event for text in texts for event in reader.read(Delta(text, 1, 3))]
    return [*events, *reader.read(Finish(reason, 3))]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_two_calls(size: int) -> None:
    *deltas, finish = read([TEXT[at : at + size] for at in range(0, len(TEXT), size)])
    assert finish == Finish("tool_calls", 3)
    calls: dict[int, list[ToolDelta]] = {}
    for delta in deltas:
        assert isinstance(delta, ToolDelta)
        assert delta.index == 3
        calls.setdefault(delta.call, []).append(delta)
    assert ["".join(delta.arguments for delta in calls[i]) for i in (0, 1)] == [
        '{"city":"Par \\"is\\" ]}","days":[1,{"a":2}]}',
        "{}",
    ]
    assert [calls[i][0].name for i in (0, 1)] == ["weather", "now"]
    assert all(re.fullmatch(r"call_[0-9a-f]{24}", calls[i][0].id) for i in (0, 1))
    assert calls[0][0].id != calls[1][0].id
    assert all(not delta.id and not delta.name for pieces in calls.values() for delta in pieces[1:])


def test_arguments_come_as_they_are_made() -> None:
    reader = CallReader(0)
    assert reader.read(Delta('[{"name": "f", "argu')) == []
    [first] = reader.read(Delta('ments": {"a'))
    [second] = reader.read(Delta('": 1'))
    assert isinstance(first, ToolDelta)
    assert isinstance(second, ToolDelta)
    assert (first.arguments, second.arguments) == ('{"a', '":1')


def test_the_limit_may_cut_a_call() -> None:
    *deltas, finish = read(['[{"name": "f", "arguments": {"a": "b'], "length")
    assert finish == Finish("length", 3)
    assert "".join(delta.arguments for delta in deltas if isinstance(delta, ToolDelta)) == '{"a":"b'


def test_a_call_that_a_stop_string_cut_is_not_a_call_made() -> None:
    assert read(['[{"name": "f", "arguments": {"a": "b'])[-1] == Finish("stop", 3)


def test_an_answer_beside_calls_is_text() -> None:
    assert read([" ", '{"a"', ": [1]}"]) == [Delta('{"a"', 1, 3), Delta(": [1]}", 1, 3), Finish("stop", 3)]


def test_the_arguments_are_json() -> None:
    pieces = [delta for delta in read(list(TEXT)) if isinstance(delta, ToolDelta) and delta.call == 0]
    assert json.loads("".join(delta.arguments for delta in pieces))["days"] == [1, {"a": 2}]
