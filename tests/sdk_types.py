"""Every answer of the inference routes against the types of the `openai` package: strictly, and nothing beyond.

`judging` wraps the transports of the HTTP clients that tests use, the SDK's own among them, so that no test has to ask
for it. What is wrong is collected and told at the end of the test: an error raised inside a client would be taken for a
network failure there.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Final

import httpx
import httpx2
import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model, ModelDeleted
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.conversations import Conversation, ConversationDeletedResource
from openai.types.responses import Response
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from openai.types.shared import ErrorObject
from pydantic import BaseModel, ValidationError

DONE: Final = "data: [DONE]"

EXTRA: Final = frozenset({"reasoning", "reasoning_content", "frequency_penalty", "presence_penalty", "store"})
"""Fields beyond the SDK's types: what a model thought, under Ollama's name and vLLM's; and what OpenAI's responses echo
though their type lacks it."""

STORED: Final = ("/v1/responses", "/v1/conversations")
"""Their streams are held to more than types, by `response_rules`; their bodies are judged here."""

PATHS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", *STORED)
"""What begins with one of these is judged."""

TYPES: Final[dict[str, type[BaseModel]]] = {
    "chat.completion": ChatCompletion,
    "chat.completion.chunk": ChatCompletionChunk,
    "text_completion": Completion,
    "model": Model,
    "response": Response,
    "response.input_tokens": InputTokenCountResponse,
    "conversation": Conversation,
    "conversation.deleted": ConversationDeletedResource,
}
"""The SDK's type of a body, by its `object`; lists and errors are told apart by hand."""


def problems(body: Any) -> list[str]:
    """What is wrong with one body or chunk: each the object, the field and the reason."""
    if not isinstance(body, dict):
        return [f"a body that is no object: {body!r:.80}"]
    if "error" in body and "object" not in body:  # a response has an error of its own, most often null
        extra = [f"error body: '{name}' beside 'error'" for name in body if name != "error"]
        return extra + _judge("error", ErrorObject, body["error"])
    kind = str(body.get("object"))
    if kind == "list":
        return _list(body)
    if kind == "model" and "deleted" in body:
        return _judge("deleted model", ModelDeleted, body)
    if kind not in TYPES:
        return [f"object {kind!r} is none of the SDK's"]
    return _judge(kind, TYPES[kind], _legacy(body) if kind == "text_completion" else body)


def _list(body: dict[str, Any]) -> list[str]:
    """A list of vectors, or of models."""
    rows = body.get("data")
    if not isinstance(rows, list):
        return ["list: 'data' is no array"]
    if "usage" in body:
        # The type is what the SDK makes of base64 after it has read it.
        plain = [{**row, "embedding": [0.0]} if isinstance(row.get("embedding"), str) else row for row in rows]
        return _judge("list of embeddings", CreateEmbeddingResponse, {**body, "data": plain})
    found = [f"list of models: '{name}' is not in the SDK's type" for name in body if name not in ("object", "data")]
    return found + [each for row in rows for each in _judge("model", Model, row)]


def _of_stored(body: Any) -> list[str]:
    """Bodies of responses and conversations. Items have no type of their own that they could be told by, and what was
    deleted has none at all."""
    told = isinstance(body, dict) and ("error" in body or body.get("object") in TYPES)
    return problems(body) if told and "deleted" not in body else []


def _legacy(body: dict[str, Any]) -> dict[str, Any]:
    """A completion with the nulls that OpenAI sends and the SDK's types leave out: a chunk's finish reason until it is
    known, and the probability of an echoed prompt's first token."""
    choices = [{**choice, "finish_reason": choice.get("finish_reason") or "stop"} for choice in body.get("choices", ())]
    for choice in choices:
        if choice.get("logprobs"):
            lists = {**choice["logprobs"]}
            for name, none in (("token_logprobs", 0.0), ("top_logprobs", {})):
                if lists.get(name) and lists[name][0] is None:
                    lists[name] = [none, *lists[name][1:]]
            choice["logprobs"] = lists
    return {**body, "choices": choices}


def _judge(kind: str, model: type[BaseModel], value: Any) -> list[str]:
    try:
        read = model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return [f"{kind}: '{_path(each['loc'])}': {each['msg']}" for each in error.errors()]
    return [f"{kind}: '{path}' is not in the SDK's type" for path in _beyond(read, "")]


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location))


def _beyond(value: Any, path: str) -> Iterator[str]:
    """Paths of fields that the types do not have, at any depth."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _beyond(each, f"{path}{index}.")
    elif isinstance(value, BaseModel):
        yield from (path + name for name in value.model_extra or () if name not in EXTRA)
        for name in value.model_fields_set - set(value.model_extra or ()):
            yield from _beyond(getattr(value, name), f"{path}{name}.")


def problems_of_stream(text: str, *, whole: bool = True) -> list[str]:
    """What is wrong with a stream's events: the form of each, its data, and how they end if it was read as a whole."""
    found: list[str] = []
    *complete, rest = text.split("\n\n")
    events = [event for event in complete if not event.startswith(":")]
    for event in events:
        if not event.startswith("data: ") or "\n" in event:
            found.append(f"an event that is not one line of data: {event!r:.80}")
        elif event != DONE:
            found += problems(json.loads(event.removeprefix("data: ")))
    *before, last = events or [""]
    if DONE in before:
        found.append("an event after [DONE]")
    if whole and (rest or not (last == DONE or last.startswith('data: {"error"'))):
        found.append(f"a stream that ends with neither [DONE] nor an error: {rest or last!r:.80}")
    return found


class Judge:
    """Collects what is wrong with the answers that it is shown."""

    judged: ClassVar = Counter[str]()
    """Bodies and chunks of the whole run, by what they are."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def read(self, path: str, content_type: str, body: bytes, *, whole: bool) -> None:
        """One answer, read to its end or until its reader had enough."""
        if not path.startswith(PATHS) or not body:  # empty: HEAD, preflights, the guard of `Host`
            return
        if content_type.startswith("text/event-stream"):
            if path.startswith(STORED):
                return
            self.judged["events"] += body.count(b"data: {")
            self.found += problems_of_stream(body.decode(errors="replace"), whole=whole)
        elif content_type == "application/json" and whole:
            self.judged["bodies"] += 1
            self.found += _of_stored(json.loads(body)) if path.startswith(STORED) else problems(json.loads(body))


class _Seen:
    """A response's stream that shows the judge its bytes once they have passed, or when it is closed."""

    def __init__(self, judge: Judge, path: str, response: Any) -> None:
        self.inner = response.stream
        self.kept = bytearray()
        self.judge: Judge | None = judge
        self.path, self.content_type = path, response.headers.get("content-type", "")

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.inner:
            self.kept.extend(piece)
            yield piece
        self.over(whole=True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.inner:
            self.kept.extend(piece)
            yield piece
        self.over(whole=True)

    def close(self) -> None:
        self.over(whole=False)
        self.inner.close()

    async def aclose(self) -> None:
        self.over(whole=False)
        await self.inner.aclose()

    def over(self, *, whole: bool) -> None:
        """The first end counts."""
        judge, self.judge = self.judge, None
        if judge is not None:
            judge.read(self.path, self.content_type, bytes(self.kept), whole=whole)


@contextmanager
def judging() -> Iterator[Judge]:
    """A judge that sees what any client of httpx or httpx2 in this process gets over the network."""
    judge = Judge()
    with ExitStack() as leave:
        for library in (httpx, httpx2):
            leave.callback(_wrap(judge, library.HTTPTransport, library.SyncByteStream))
            leave.callback(_wrap_async(judge, library.AsyncHTTPTransport, library.AsyncByteStream))
        yield judge


def _wrap(judge: Judge, transport: Any, base: Any) -> Callable[[], None]:
    plain = transport.handle_request
    stream = type("Seen", (_Seen, base), {})

    def handle_request(self: Any, request: Any) -> Any:
        response = plain(self, request)
        response.stream = stream(judge, request.url.path, response)
        return response

    transport.handle_request = handle_request
    return lambda: setattr(transport, "handle_request", plain)


def _wrap_async(judge: Judge, transport: Any, base: Any) -> Callable[[], None]:
    plain = transport.handle_async_request
    stream = type("Seen", (_Seen, base), {})

    async def handle_async_request(self: Any, request: Any) -> Any:
        response = await plain(self, request)
        response.stream = stream(judge, request.url.path, response)
        return response

    transport.handle_async_request = handle_async_request
    return lambda: setattr(transport, "handle_async_request", plain)


@pytest.fixture(autouse=True)
def every_answer_is_of_the_sdks_types() -> Iterator[None]:
    """For a folder's conftest to import: holds for each of its tests."""
    with judging() as judge:
        yield
    if judge.found:
        pytest.fail("answers that are not as the SDK's types say:\n  " + "\n  ".join(dict.fromkeys(judge.found)))
