"""A conversation that is longer than the context, without its oldest turns. Pure.

A turn is a message of the user and what follows it up to the next, so a call is never parted from its result. Messages
of the role `system` stay, and so does the last turn.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from shared.errors import ContextLengthExceeded

_NUMBERS: Final = re.compile(r"context length is (\d+) tokens.* resulted in (\d+) tokens", re.DOTALL)

_ROOM: Final = 4
"""What is left free for the answer: what it may be long, up to this part of the context (a fourth)."""

_IMAGE: Final = 2000
"""What an image weighs, in characters of text."""


def shortened(request: Mapping[str, Any], error: ContextLengthExceeded) -> dict[str, Any] | None:
    """A chat request that the engine refused, with fewer turns: as many are left out as its numbers ask for, by the
    length of their text. None when there is no turn to leave out."""
    messages: Sequence[Mapping[str, Any]] = request["messages"]
    turns = _turns(messages)
    if len(turns) < 2:
        return None
    weights = [sum(_weight(messages[i]) for i in turn) for turn in turns]
    least = _share(request, error) * sum(_weight(message) for message in messages)
    dropped: set[int] = set()
    for turn, weight in zip(turns[:-1], weights, strict=False):
        dropped.update(turn)
        least -= weight
        if least <= 0:
            break
    return {**request, "messages": [message for i, message in enumerate(messages) if i not in dropped]}


def _share(request: Mapping[str, Any], error: ContextLengthExceeded) -> float:
    """The part of the prompt that must go; nothing is known without numbers, so then it is one turn at a time."""
    found = _NUMBERS.search(error.message)
    if found is None:
        return 0.0
    context, tokens = int(found[1]), int(found[2])
    room = min(request.get("max_tokens") or context, context // _ROOM)
    return (tokens - context + room) / tokens


def _turns(messages: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Positions of the messages of each turn."""
    turns: list[list[int]] = []
    for i, message in enumerate(messages):
        if message["role"] == "system":
            continue
        if message["role"] == "user" or not turns:
            turns.append([])
        turns[-1].append(i)
    return turns


def _weight(message: Mapping[str, Any]) -> int:
    content = message.get("content") or ""
    if isinstance(content, str):
        length = len(content)
    else:
        length = sum(len(part["text"]) if part["type"] == "text" else _IMAGE for part in content)
    calls = len(orjson.dumps(message["tool_calls"])) if message.get("tool_calls") else 0
    # Sixteen for the words of the template around it.
    return 16 + length + calls + len(message.get("reasoning_content") or "")
