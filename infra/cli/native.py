"""Ollama's protocol from the client's side: one answer, or lines of progress, of the API that the settings name."""

from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Final

import httpx
import orjson

from infra.cli.place import CommandError, api_url
from shared.settings import settings

_CONNECT_S: Final = 5.0
_CHUNK: Final = 1 << 20


class NotThere(CommandError):
    """The server knows no such thing."""


class Api:
    """One connection. Every method raises CommandError in one line."""

    def __init__(self, url: str = "") -> None:
        self.url = url or api_url(settings())
        # A proxy from the environment has no business between us and our own server. A transfer may be silent for as
        # long as it takes.
        limits = httpx.Timeout(None, connect=_CONNECT_S)
        self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=limits)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON; None where it has none."""
        with self._reached():
            answer = self._client.request(method, path, json=body)
            _check(answer)
            return orjson.loads(answer.content) if answer.content else None

    def lines(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The objects of a stream."""
        with self._reached(), self._client.stream("POST", path, json=body) as answer:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                _check(answer)
            for text in answer.iter_lines():
                told = orjson.loads(text)
                if "error" in told:
                    raise CommandError(str(told["error"]))
                yield told

    def has_blob(self, digest: str) -> bool:
        with self._reached():
            answer = self._client.head(f"/api/blobs/{digest}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                return False
            _check(answer)
            return True

    def upload(self, digest: str, path: Path) -> Iterator[int]:
        """Send a file; how much of it has been sent, in bytes."""
        sent: list[int] = [0]

        def pieces() -> Iterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(_CHUNK):
                    yield piece
                    sent[0] += len(piece)

        sending: Future[httpx.Response] = Future()

        def send() -> None:
            headers = {"content-length": str(path.stat().st_size)}
            try:
                sending.set_result(self._client.post(f"/api/blobs/{digest}", content=pieces(), headers=headers))
            except BaseException as error:
                sending.set_exception(error)

        # httpx takes the whole body in one call: a thread sends, for which nobody waits after Ctrl-C, and this one
        # looks how far it is.
        with self._reached():
            Thread(target=send, daemon=True).start()
            while wait([sending], timeout=0.1).not_done:
                yield sent[0]
            _check(sending.result())
        yield sent[0]

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise CommandError(f"no server at {self.url}: start one with `puna serve`, or set PUNA_PORT.") from None
        except httpx.HTTPError as error:
            raise CommandError(f"the connection to {self.url} broke: {error or type(error).__name__}") from None


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        told = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        told = f"the server answered {answer.status_code}."
    raise (NotThere if answer.status_code == httpx.codes.NOT_FOUND else CommandError)(str(told))
