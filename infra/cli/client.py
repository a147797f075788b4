"""One streaming chat through the HTTP API: what comes, as text or as a state, in order."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import httpx
import orjson

from infra.cli.place import CommandError

CONNECT_S = 5.0
SILENCE_S = 60.0
"""Longest silence of the server (s): with nothing else to send, it sends a comment line every 10 s."""


class Text(NamedTuple):
    """A piece of the answer."""

    text: str


class Status(NamedTuple):
    """Why there is no text yet: `queued`, `loading`, …"""

    text: str


def events(lines: Iterable[str]) -> Iterator[Text | Status]:
    """A chat's SSE lines as events. Raises CommandError for an error in the stream, or a stream cut off."""
    for line in lines:
        if line.startswith(":"):
            if word := line[1:].strip():
                yield Status(word)
        elif line.startswith("data:"):
            data = line[5:].strip()
            if data == "[DONE]":
                return
            yield from _chunk(orjson.loads(data))
    raise CommandError("the server ended the stream before the answer was complete.")


def _chunk(chunk: dict[str, Any]) -> Iterator[Text]:
    if "error" in chunk:
        raise CommandError(_message(chunk))
    for choice in chunk.get("choices", ()):
        if text := choice.get("delta", {}).get("content"):
            yield Text(text)


def chat(url: str, model: str, messages: list[dict[str, str]]) -> Iterator[Text | Status]:
    """Ask the API at `url`; closing the iterator cancels the answer. Raises CommandError in one line."""
    # A proxy from the environment has no business between us and our own server.
    limits = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
    body = {"model": model, "messages": messages, "stream": True}
    try:
        with (
            httpx.Client(trust_env=False, timeout=limits) as client,
            client.stream("POST", f"{url}/v1/chat/completions", json=body) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise CommandError(_refusal(response))
            yield from events(response.iter_lines())
    except httpx.ConnectError:
        raise CommandError(f"no server at {url}: start one with `puna serve`, or set PUNA_PORT.") from None
    except httpx.HTTPError as error:
        raise CommandError(f"the connection to {url} broke: {error or type(error).__name__}") from None


def _refusal(response: httpx.Response) -> str:
    response.read()
    try:
        return _message(response.json())
    except ValueError:
        return f"the server answered {response.status_code}."


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        return str(error.get("message") or error)
    return str(error or body)
