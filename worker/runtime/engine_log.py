"""An engine's log lines: their level, the address they announce, and what must not be kept of them.

llama.cpp writes `0.02.158.591 I srv          init: …`: time since start, a level letter, the text. A warning
about a refused request quotes the request, and a text with line breaks goes on without the prefix:
both are cut.
"""

import logging
import re
from typing import NamedTuple

_LINE = re.compile(r"\d+(?:\.\d+){3} ([DIWE]) (.*)", re.DOTALL)
_URL = re.compile(r"listening on (https?://\S+)")
_QUOTES = re.compile(r"got exception|failed to parse|parse error", re.IGNORECASE)
_CRASH = re.compile(r"cannot load |\S+:\d+: |ggml_|GGML_|CUDA|terminate called|libc\+\+abi|Traceback|\w+Error\b")

# Said once per request, at W or E: a cached prompt, a cancelled task, an error that its answer carries as well.
_ONE_REQUEST = re.compile(r"slot +\S+ +id +\d+ \| task|srv +(?:stop: cancel task|send_error:)")

# llama.cpp reports several lines per request at I; ours is the one line per job.
_LEVELS = {"D": logging.DEBUG, "I": logging.DEBUG, "W": logging.WARNING, "E": logging.ERROR}


class LogLine(NamedTuple):
    """What to log of one line."""

    level: int
    text: str


def read_line(line: str, listening: bool) -> LogLine | None:
    """Level and text of one line, or None where it may quote a request.

    Until the engine listens it has seen no request, and every line is kept.
    """
    if match := _LINE.match(line):
        level = logging.DEBUG if _ONE_REQUEST.match(match[2]) else _LEVELS[match[1]]
        return LogLine(level, _without_quote(match[2]))
    if _CRASH.match(line):
        return LogLine(logging.ERROR, _without_quote(line))
    return None if listening else LogLine(logging.INFO, line)


def url_in(line: str) -> str | None:
    """The base URL if this line announces one, without a slash at its end."""
    match = _URL.search(line)
    return match[1].rstrip("/") if match else None


def _without_quote(text: str) -> str:
    match = _QUOTES.search(text)
    return text[: match.end()] + " […]" if match else text
