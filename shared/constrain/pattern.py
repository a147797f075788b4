"""Regular expressions of a JSON schema, in the dialect that llama.cpp enforces. Pure.

llama.cpp turns `^…$` into a grammar when it knows every escape in it, and else lets any string pass; a dot there
matches a quote as well. So a pattern is parsed and written anew with explicit character sets. Strings are then
drawn from characters that JSON need not escape, which keeps the meaning: fewer strings match, all of them valid.
"""

import re
from collections.abc import Callable
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, TypeAlias

Node: TypeAlias = tuple[Any, Any]

_UNSAFE = r'"\\\x00-\x1F\x7F'
"""Members of a set: what a JSON string would have to escape."""

_CLASSES = {sre.CATEGORY_DIGIT: "0-9", sre.CATEGORY_WORD: "0-9A-Za-z_", sre.CATEGORY_SPACE: " "}
_NOT_CLASSES = {
    sre.CATEGORY_NOT_DIGIT: f"[^0-9{_UNSAFE}]",
    sre.CATEGORY_NOT_WORD: f"[^0-9A-Za-z_{_UNSAFE}]",
    sre.CATEGORY_NOT_SPACE: f"[^ {_UNSAFE}]",
}
_ANY = f"[^{_UNSAFE}]"


class Unsupported(ValueError):
    """What a pattern asks for and a grammar cannot say."""


def canonical(pattern: str) -> str:
    """The pattern as `^(…)$`. Unanchored ends match anything, as JSON Schema has it. Raises Unsupported."""
    try:
        parsed = _parser.parse(pattern, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unsupported(f"is not a regular expression: {error}") from None
    if parsed.state.flags & ~(re.ASCII | re.UNICODE):
        raise Unsupported("uses flags, which a grammar cannot express")
    return f"^({'|'.join(_anchored(branch) for branch in _alternatives(list(parsed)))})$"


def _alternatives(tree: list[Node]) -> list[list[Node]]:
    """The branches of `^a$|^b$`, which the parser gives as `^(a$|b$)`."""
    if tree and tree[-1][0] is sre.BRANCH:
        return [tree[:-1] + list(branch) for branch in tree[-1][1][1]]
    return [tree]


def _anchored(nodes: list[Node]) -> str:
    begins = bool(nodes) and _is_anchor(nodes[0], sre.AT_BEGINNING, sre.AT_BEGINNING_STRING)
    ends = bool(nodes) and _is_anchor(nodes[-1], sre.AT_END, sre.AT_END_STRING)
    inner = nodes[1 if begins else 0 : len(nodes) - (1 if ends else 0)]
    return ("" if begins else f"{_ANY}*") + _sequence(inner) + ("" if ends else f"{_ANY}*")


def _is_anchor(node: Node, *kinds: Any) -> bool:
    return node[0] is sre.AT and node[1] in kinds


def _sequence(nodes: Any) -> str:
    return "".join(_node(operation, argument) for operation, argument in nodes)


def _node(operation: Any, argument: Any) -> str:
    write = _WRITERS.get(operation)
    if write is None:
        raise Unsupported(f"uses {str(operation).lower().replace('_', ' ')}, which a grammar cannot express")
    return write(argument)


def _literal(code: int) -> str:
    character = chr(code)
    if code < 0x20 or code == 0x7F or character in '"\\':
        raise Unsupported("asks for a character that JSON escapes")
    return f"\\{character}" if character in "^$.[]()|{}*+?" else character


def _members(items: list[Node]) -> str:
    written = ""
    for operation, argument in items:
        if operation is sre.LITERAL:
            written += _member(argument)
        elif operation is sre.RANGE:
            written += f"{_member(argument[0])}-{_member(argument[1])}"
        elif operation is sre.CATEGORY and argument in _CLASSES:
            written += _CLASSES[argument]
        else:
            raise Unsupported("has a negated class inside a set")
    return written


def _member(code: int) -> str:
    if code > 0xFFFF:
        return f"\\U{code:08X}"
    return chr(code) if chr(code).isalnum() and code < 0x80 else f"\\x{code:02X}" if code < 0x80 else f"\\u{code:04X}"


def _set(items: list[Node]) -> str:
    if items[0][0] is sre.NEGATE:
        return f"[^{_members(items[1:])}{_UNSAFE}]"
    if len(items) == 1 and items[0][1] in _NOT_CLASSES:
        return _NOT_CLASSES[items[0][1]]
    for operation, argument in items:
        low, high = argument if operation is sre.RANGE else (argument, argument)
        if operation in (sre.LITERAL, sre.RANGE) and any(low <= code <= high for code in (0x22, 0x5C, *range(0x20))):
            raise Unsupported("asks for a character that JSON escapes")
    return f"[{_members(items)}]"


def _repeat(argument: tuple[int, Any, Any]) -> str:
    low, high, inner = argument
    return f"({_sequence(inner)}){{{low},{'' if high is sre.MAXREPEAT else high}}}"


def _group(argument: tuple[Any, int, int, Any]) -> str:
    if argument[1] or argument[2]:
        raise Unsupported("uses flags, which a grammar cannot express")
    return f"({_sequence(argument[3])})"


_WRITERS: dict[Any, Callable[[Any], str]] = {
    sre.LITERAL: _literal,
    sre.NOT_LITERAL: lambda code: f"[^{_member(code)}{_UNSAFE}]",
    sre.ANY: lambda _: _ANY,
    sre.IN: _set,
    sre.BRANCH: lambda argument: f"({'|'.join(_sequence(branch) for branch in argument[1])})",
    sre.SUBPATTERN: _group,
    sre.MAX_REPEAT: _repeat,
    sre.MIN_REPEAT: _repeat,
}
