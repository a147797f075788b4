"""A row of the table, what is asked to fill it, and what the answer says."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import httpx

CHAT: Final = "smollm2:135m"
THINKER: Final = "thinker:135m"
EMBED: Final = "all-minilm:latest"

CHAT_PATH: Final = "/v1/chat/completions"
TEXT_PATH: Final = "/v1/completions"
EMBED_PATH: Final = "/v1/embeddings"
MODELS_PATH: Final = "/v1/models"

PICTURES: Final = "http://pictures"
"""Stands for the address of a server with a red picture, which is known when the stack runs."""

_BASE: Final[dict[str, dict[str, Any]]] = {
    CHAT_PATH: {
        "model": CHAT,
        "messages": [{"role": "user", "content": "Name a colour."}],
        "temperature": 0,
        "max_tokens": 6,
    },
    TEXT_PATH: {"model": CHAT, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 6},
    EMBED_PATH: {"model": EMBED, "input": "hello"},
}
"""A request that is in order, by its path; a path without one is a GET."""


@dataclass(frozen=True)
class Answer:
    """An answer: `body` of a whole one, `chunks` of a stream."""

    status: int
    body: dict[str, Any]
    chunks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def choice(self) -> dict[str, Any]:
        choice: dict[str, Any] = self.body["choices"][0]
        return choice

    @property
    def text(self) -> str:
        """The first choice's text, of a chat or a completion, whole or streamed."""
        if self.chunks:
            mine = [each for chunk in self.chunks for each in chunk["choices"] if each["index"] == 0]
            return "".join(each.get("text") or each.get("delta", {}).get("content") or "" for each in mine)
        return str(self.choice["text"] if "text" in self.choice else self.choice["message"]["content"] or "")

    @property
    def calls(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self.choice["message"].get("tool_calls") or []
        return calls

    @property
    def tokens(self) -> int:
        return int(self.body["usage"]["completion_tokens"])

    @property
    def prompt_tokens(self) -> int:
        return int(self.body["usage"]["prompt_tokens"])

    @property
    def finish(self) -> str:
        return str(self.choice["finish_reason"])

    @property
    def vectors(self) -> list[Any]:
        return [row["embedding"] for row in self.body["data"]]


@dataclass(frozen=True)
class Ask:
    """Sends requests to one path, each the path's own in-order request with some fields changed; `...` drops one."""

    client: httpx.Client
    path: str
    pictures: str = ""
    """What `PICTURES` stands for."""

    def __call__(self, **fields: Any) -> Answer:
        base = _BASE.get(self.path)
        if base is None:
            return self._read(self.client.get(self.path))
        body = {name: value for name, value in {**base, **fields}.items() if value is not ...}
        text = json.dumps(body).replace(PICTURES, self.pictures)
        return self._read(self.client.post(self.path, content=text, headers={"content-type": "application/json"}))

    @staticmethod
    def _read(answer: httpx.Response) -> Answer:
        if not answer.headers["content-type"].startswith("text/event-stream"):
            return Answer(answer.status_code, answer.json())
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
        return Answer(answer.status_code, {}, [json.loads(line) for line in lines])


Seen: TypeAlias = Callable[[Answer, Ask], bool]


@dataclass(frozen=True)
class Probe:
    """One request, and what shows that its field does what it says: `shows` in words, `seen` on the answer. Without
    `seen` there is nothing that could show: a field that is taken has no effect. `value` names the value asked for."""

    fields: dict[str, Any]
    shows: str = ""
    seen: Seen | None = None
    value: str = ""

    def outcome(self, ask: Ask, field: str) -> str:
        answer = ask(**self.fields)
        return (f"{self.value}: " if self.value else "") + self._outcome(answer, ask, field)

    def _outcome(self, answer: Answer, ask: Ask, field: str) -> str:
        if answer.status != 200:
            error = answer.body["error"]
            where = "" if error["param"] in (None, field) else f", `param` is `{error['param']}`"
            return f"{answer.status}" + (f" `{error['code']}`" if error["code"] else "") + where
        if self.seen is None:
            return "accepted, no effect"
        try:
            seen = self.seen(answer, ask)
        except (ValueError, LookupError, TypeError):  # an answer of another shape, text that is no JSON
            seen = False
        return f"yes: {self.shows}" if seen else f"accepted, but not seen: {self.shows}"


@dataclass(frozen=True)
class Sent:
    """A field of an answer: the request that brings it, and whether it is there. Paths go through every element of an
    array (`choices[].index`); one that is there and not null is enough."""

    fields: dict[str, Any] = field(default_factory=dict)

    def outcome(self, ask: Ask, field: str) -> str:
        answer = ask(**self.fields)
        assert answer.status == 200, (field, answer.body)
        found = [each for body in answer.chunks or [answer.body] for each in _at(body, field.split("."))]
        if not found:
            return "no"
        return "`null`" if all(each is None for each in found) else "yes"


def _at(value: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    name, *rest = steps
    if not isinstance(value, dict) or name.removesuffix("[]") not in value:
        return
    inner = value[name.removesuffix("[]")]
    for each in (inner or []) if name.endswith("[]") else [inner]:
        yield from _at(each, rest)


@dataclass(frozen=True)
class Row:
    """A field; what OpenAI and what Ollama do with it, in words; what is asked of this API."""

    field: str
    openai: str
    ollama: str
    probes: tuple[Probe | Sent, ...]

    def outcome(self, ask: Ask) -> str:
        return "; ".join(probe.outcome(ask, self.field) for probe in self.probes)


@dataclass(frozen=True)
class Table:
    """The rows of one part of one endpoint."""

    title: str
    path: str
    rows: tuple[Row, ...]


YES, NO, IGNORED = "yes", "no", "ignored"


def quiet(value: str = "", **fields: Any) -> Probe:
    """A value that is taken and asks for nothing, or that is refused."""
    return Probe(fields, value=value)


def shows(words: str, seen: Seen, value: str = "", **fields: Any) -> Probe:
    return Probe(fields, words, seen, value)


def row(field: str, openai: str, ollama: str, *probes: Probe | Sent) -> Row:
    return Row(field, openai, ollama, probes)


def changes(words: str, name: str, **fields: Any) -> Probe:
    """The text is another one than without the field `name`."""
    return shows(words, lambda answer, ask: answer.text != ask(**{**fields, name: ...}).text, **fields)


def decides(words: str, **fields: Any) -> Probe:
    """Whatever the seed, the text is the one of temperature 0."""
    loose = {"temperature": 2, "seed": 1}
    return shows(words, lambda answer, ask: answer.text == ask().text, **{**loose, **fields})
