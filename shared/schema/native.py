"""`/api/chat` and `/api/generate`: Ollama's requests, translated to the fields of OpenAI's schema, which checks them.

Fields that Ollama ignores, or that change in silence what a model sees, are refused by name like everywhere here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from shared.errors import InvalidRequest, PunaError
from shared.schema import chat, completions
from shared.schema.body import AsksNothing, Body, json_type, nothing, validate, wrong
from shared.schema.fields import check_top_logprobs
from shared.schema.native_messages import images_of, messages_of, tools_of

_NOT_BUILT: Final[Mapping[str, AsksNothing]] = {
    "truncate": nothing(False),  # Ollama's default cuts what does not fit; here it is refused, which is `false`
    "shift": nothing(False),
}

_GENERATE_NOT_BUILT: Final[Mapping[str, AsksNothing]] = {
    **_NOT_BUILT,
    "context": nothing([]),
    "template": nothing(""),
    "width": nothing(0),
    "height": nothing(0),
    "steps": nothing(0),
}

_NAMES: Final = (
    ("response_format.json_schema.schema", "format"),
    ("response_format", "format"),
    ("reasoning_effort", "think"),
)
"""OpenAI's names in a message about a translated field, and the caller's own."""

THINKS: Final = {True: "medium", False: "none"}
"""Efforts that stand for a plain yes or no."""


class _Generation(Body):
    """Fields that both requests have."""

    model: str
    stream: bool = True
    format: Any = None
    think: Any = None
    options: dict[str, Any] | None = None
    keep_alive: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = None

    def common(self) -> dict[str, Any]:
        """As OpenAI's fields."""
        fields = {
            "model": self.model,
            "stream": self.stream,
            "options": self.options,
            "keep_alive": self.keep_alive,
            "response_format": format_of(self.format),
        }
        return {name: value for name, value in fields.items() if value is not None}

    def thinking(self) -> dict[str, Any]:
        """Of a chat: the effort, and log probabilities."""
        fields = {"reasoning_effort": _effort(self.think), "logprobs": self.logprobs, "top_logprobs": self.top_logprobs}
        return {name: value for name, value in fields.items() if value is not None}


class NativeChat(_Generation):
    messages: list[Any] | None = None
    tools: list[Any] | None = None

    @property
    def loads(self) -> bool:
        """It asks for no answer, only that the model be there."""
        return not self.messages

    def request(self) -> chat.ChatRequest:
        """Raises InvalidRequest or UnsupportedParameter."""
        tools = {"tools": tools_of(self.tools)} if self.tools else {}
        body = {**self.common(), **self.thinking(), "messages": messages_of(self.messages or []), **tools}
        return chat.parse(body)


class NativeGenerate(_Generation):
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    images: list[Any] | None = None
    raw: bool = False

    @property
    def loads(self) -> bool:
        return not self.prompt and not self.suffix and not self.images

    @property
    def plain(self) -> bool:
        """Whether the model sees the prompt as it is, without its template."""
        return self.raw or bool(self.suffix)

    def request(self) -> chat.ChatRequest:
        """As a conversation of one turn. Raises InvalidRequest or UnsupportedParameter."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        text = [{"type": "text", "text": self.prompt}] if self.prompt else []
        content = [*images_of(self.images, "images"), *text] if self.images else self.prompt
        messages = [*system, {"role": "user", "content": content}]
        return chat.parse({**self.common(), **self.thinking(), "messages": messages})

    def completion(self) -> completions.CompletionRequest:
        """As a text to go on from. Raises InvalidRequest or UnsupportedParameter."""
        for name, value in (("system", self.system), ("images", self.images), ("think", self.think)):
            if value:
                raise wrong(name, "it does not go with 'raw' or 'suffix'")
        return completions.parse({**self.common(), "prompt": self.prompt, "suffix": self.suffix})

    def top(self) -> int | None:
        """Alternatives wanted at each token of a completion, None without log probabilities. Raises InvalidRequest."""
        top = self.top_logprobs or 0
        check_top_logprobs(top)
        if top and not self.logprobs:
            raise wrong("top_logprobs", "it is only allowed when 'logprobs' is true")
        return top if self.logprobs else None


def parse_chat(body: Mapping[str, Any]) -> NativeChat:
    """Raises InvalidRequest or UnsupportedParameter."""
    return validate(NativeChat, _with_model(body), _NOT_BUILT)


def parse_generate(body: Mapping[str, Any]) -> NativeGenerate:
    """Raises InvalidRequest or UnsupportedParameter."""
    return validate(NativeGenerate, _with_model(body), _GENERATE_NOT_BUILT)


@contextmanager
def own_names() -> Iterator[None]:
    """What is refused under OpenAI's name of a field is told under Ollama's."""
    try:
        yield
    except PunaError as error:
        for theirs, ours in _NAMES:
            error.message = error.message.replace(theirs, ours)
        raise


def format_of(value: Any) -> dict[str, Any] | None:
    """`response_format` for `json`, a JSON schema, or none. Raises InvalidRequest."""
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "json_object"}
    if isinstance(value, dict):
        return {"type": "json_schema", "json_schema": {"name": "format", "schema": value}}
    told = f'"{value[:40]}"' if isinstance(value, str) else json_type(value)
    raise InvalidRequest(f'invalid format: {told}; expected "json" or a JSON schema', param="format")


def _effort(think: Any) -> str | None:
    if think is None or think == "":
        return None
    if isinstance(think, bool):
        return THINKS[think]
    if think not in ("low", "medium", "high", "max"):
        told = f'"{think[:40]}"' if isinstance(think, str) else json_type(think)
        raise InvalidRequest(
            f'invalid think value: {told} (must be "high", "medium", "low", "max", true, or false)', param="think"
        )
    return str(think)


def _with_model(body: Mapping[str, Any]) -> Mapping[str, Any]:
    if not body.get("model"):
        raise InvalidRequest("model is required", param="model", code="missing_required_parameter")
    return body
