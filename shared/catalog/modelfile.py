"""Modelfiles: Ollama's text form of a model. Instructions in, instructions out; pure.

    # a comment, at the beginning of a line only
    FROM smollm2:135m
    PARAMETER temperature 0.7
    SYSTEM \"\"\"Text that may span
    several lines.\"\"\"
    MESSAGE user Hello

Instructions may be written in any case and order. A value goes to the end of its line, without the white space around
it, or stands in `"` or `\"\"\"`, where everything is kept as it is; there are no escapes.
"""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from shared.catalog.parameters import read_parameters
from shared.errors import InvalidRequest

COMMANDS: Final = (
    *("from", "license", "template", "system", "adapter", "draft"),
    *("renderer", "parser", "parameter", "message", "requires"),
)

ROLES: Final = ("system", "user", "assistant")

_NAMED = ", ".join(f'"{name}"' for name in COMMANDS[:-1])
_COMMAND = f'command must be one of {_NAMED}, or "requires"'

_ROLE = 'message role must be one of "system", "user", or "assistant"'

_WORD: Final = re.compile(r"[A-Za-z]+(?=[ \t])")
_PARAMETER: Final = re.compile(r"[A-Za-z0-9_]+(?=[ \t])")
_SEMVER: Final = re.compile(r"v?(\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)")


class ModelfileError(InvalidRequest):
    """A Modelfile that cannot be read; the message is Ollama's."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name in lower case, and its value. `key` is a PARAMETER's name or a MESSAGE's role."""

    name: str
    value: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Modelfile:
    """The instructions of a Modelfile in their order; at least one is FROM."""

    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[str]:
        """The values of every instruction of a name."""
        return [each.value for each in self.instructions if each.name == name]

    def request(self) -> dict[str, Any]:
        """The fields of a create request that need no look at the disk: all but FROM, ADAPTER and DRAFT.

        Of those that can be given once the last one counts. Raises InvalidRequest for a parameter or a version that
        is none.
        """
        fields: dict[str, Any] = {
            name: values[-1]
            for name in ("template", "system", "renderer", "parser")
            if (values := self.all(name)) and values[-1]
        }
        if licenses := self.all("license"):
            fields["license"] = licenses
        if versions := self.all("requires"):
            fields["requires"] = version_of(versions[-1])
        if parameters := read_parameters([(each.key, each.value) for each in self._of("parameter")]):
            fields["parameters"] = parameters
        if messages := [{"role": each.key, "content": each.value} for each in self._of("message")]:
            fields["messages"] = messages
        return fields

    def __str__(self) -> str:
        """As text that `parse` reads back. Raises ValueError for a value that no quotes can hold."""
        return "".join(f"{written(each)}\n" for each in self.instructions)

    def _of(self, name: str) -> Iterable[Instruction]:
        return (each for each in self.instructions if each.name == name)


def version_of(text: str) -> str:
    """What REQUIRES says, without a leading v. Raises ModelfileError for what is no semantic version."""
    found = _SEMVER.fullmatch(text.strip())
    if found is None:
        raise ModelfileError("requires must be a valid semver (e.g. 0.14.0)", param="requires")
    return found[1]


def parse(data: bytes | str) -> Modelfile:
    """Read a Modelfile: UTF-8, or UTF-16 with a byte order mark. Raises ModelfileError."""
    text = data if isinstance(data, str) else _decode(data)
    instructions: list[Instruction] = []
    lines = iter(enumerate(re.split(r"\r\n|\n|\r", text), 1))
    for number, line in lines:
        rest = line.lstrip(" \t")
        if not rest or rest[0] == "#":
            continue
        name, rest = _name(number, rest)
        key, rest = _key(number, name, rest)
        value = _value(rest, (each for _, each in lines))
        instructions.append(Instruction(name, value, key))
    if not any(each.name == "from" for each in instructions):
        raise ModelfileError("no FROM line")
    return Modelfile(tuple(instructions))


def written(instruction: Instruction) -> str:
    """One instruction as text. Raises ValueError for a value that no quotes can hold."""
    words = [instruction.name.upper(), instruction.key, _quoted(instruction.value)]
    return " ".join(word for word in words if word)


def _decode(data: bytes) -> str:
    marks = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
    encoding = next((each for mark, each in marks if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise ModelfileError("the Modelfile is neither UTF-8 nor UTF-16 with a byte order mark") from None


def _name(number: int, rest: str) -> tuple[str, str]:
    """An instruction's name in lower case, and what follows it."""
    found = _WORD.match(rest)
    word = found[0] if found else rest
    if word.lower() not in COMMANDS:
        raise ModelfileError(f"(line {number}): {_COMMAND}")
    if found is None:
        raise ModelfileError("unexpected EOF")
    return word.lower(), rest[found.end() :]


def _key(number: int, name: str, rest: str) -> tuple[str, str]:
    """What stands between the name of a PARAMETER or a MESSAGE and its value."""
    if name not in ("parameter", "message"):
        return "", rest
    rest = rest.lstrip(" \t")
    found = (_PARAMETER if name == "parameter" else _WORD).match(rest)
    word = found[0] if found else rest
    if name == "message" and word not in ROLES:
        raise ModelfileError(f"(line {number}): {_ROLE}")
    if found is None:
        raise ModelfileError("unexpected EOF")
    return word, rest[found.end() :]


def _value(rest: str, following: Iterable[str]) -> str:
    """The value that begins on a line. One in quotes takes the lines that follow, up to the one that ends with them."""
    text = rest.strip()
    if not text:
        raise ModelfileError("unexpected EOF")
    quotes = '"""' if text.startswith('"""') else '"' if text.startswith('"') else ""
    if not quotes:
        return text
    # What comes after the opening quotes is kept, so only what stands before them is left out.
    text = rest.lstrip(" \t")
    lines = iter(following)
    while not _closed(text.rstrip(), quotes):
        line = next(lines, None)
        if line is None:
            raise ModelfileError("unexpected EOF")
        text += f"\n{line}"
    return text.rstrip()[len(quotes) : -len(quotes)]


def _closed(text: str, quotes: str) -> bool:
    return len(text) >= 2 * len(quotes) and text.endswith(quotes)


def _quoted(value: str) -> str:
    if value and value == value.strip() and "\n" not in value and "\r" not in value and value[0] != '"':
        return value
    for quotes in ('"', '"""'):
        text = f"{quotes}{value}{quotes}"
        if quotes == '"' and value.startswith('"'):
            continue
        try:
            if _reads_back(text) == value:
                return text
        except ModelfileError:
            continue
    raise ValueError("a value that holds quotes at the end of a line cannot be written in a Modelfile")


def _reads_back(text: str) -> str | None:
    first, *rest = re.split(r"\r\n|\n|\r", text)
    lines = iter(rest)
    value = _value(first, lines)
    return value if next(lines, None) is None else None
