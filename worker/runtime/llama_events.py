"""llama.cpp's answers as events: chunks of a stream, and refusals before one. Pure.

Source: llama.cpp `tools/server/README.md`; the OpenAI API reference, "The chat completion chunk object".
"""

from collections.abc import Mapping
from typing import Any

import orjson

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, PunaError
from shared.frames import Delta, Done, Event, Finish, Progress
from worker.runtime.sse import DONE

_NO_VISION = "image input is not supported"


class Answer:
    """One answer in the making: chunk payloads in, events out.

    Tokens are counted by the engine: a character made of several tokens comes as one chunk. With `n` choices
    there are `n` usage chunks, each with the completion tokens of one choice and the tokens of the prompt.
    """

    def __init__(self) -> None:
        self.done = False
        self._usages: list[Mapping[str, Any]] = []

    def read(self, payloads: list[bytes]) -> list[Event]:
        """The events of one network read; runs of text for one choice are one Delta.

        Raises EngineFailed on an error chunk and on what is not a chunk.
        """
        events: list[Event] = []
        texts: list[str] = []
        at = 0
        try:
            for payload in payloads:
                if payload == DONE:
                    _flush(events, texts, at)
                    events.append(self._finish())
                    return events
                chunk = orjson.loads(payload)
                choices = chunk.get("choices")
                if not choices:
                    self._note(chunk)
                    continue
                choice = choices[0]
                if text := choice["delta"].get("content"):
                    if choice["index"] != at:
                        _flush(events, texts, at)
                        at = choice["index"]
                    texts.append(text)
                if choice["finish_reason"]:
                    _flush(events, texts, at)
                    events.append(Finish(choice["finish_reason"], choice["index"]))
                elif "prompt_progress" in chunk:
                    events.append(_progress(chunk["prompt_progress"]))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise EngineFailed("the engine sent something that is not a chunk") from None
        _flush(events, texts, at)
        return events

    def _note(self, chunk: Mapping[str, Any]) -> None:
        """A chunk without choices: the usage of one choice, or an error."""
        if "error" in chunk:
            raise EngineFailed(f"the engine failed: {_message(chunk)}")
        if usage := chunk.get("usage"):
            self._usages.append(usage)

    def _finish(self) -> Done:
        if not self._usages:
            raise EngineFailed("the engine did not say how many tokens it used")
        self.done = True
        return Done(
            self._usages[0]["prompt_tokens"],
            sum(usage["completion_tokens"] for usage in self._usages),
            min((usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0) for usage in self._usages),
        )


def _flush(events: list[Event], texts: list[str], index: int) -> None:
    if texts:
        events.append(Delta("".join(texts), len(texts), index))
        texts.clear()


def _progress(progress: Mapping[str, Any]) -> Progress:
    return Progress("prefill", progress["processed"], progress["total"])


def refusal(status: int, body: bytes) -> PunaError:
    """The error for an HTTP answer other than 200."""
    try:
        answer = orjson.loads(body)
        error, message = answer["error"], _message(answer)
        kind = error.get("type")
    except (ValueError, KeyError, TypeError, AttributeError):
        return EngineFailed(f"the engine answered with status {status}")
    if kind == "exceed_context_size_error":
        return _too_long(error, message)
    if _NO_VISION in message:  # llama.cpp calls it a server error
        return InvalidRequest("this model does not take images", param="messages")
    if status == 400:
        return InvalidRequest(message)
    return EngineFailed(f"the engine answered with status {status}: {message}")


def _too_long(error: Mapping[str, Any], message: str) -> PunaError:
    tokens, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    if tokens is not None and context is not None:
        message = (
            f"This model's maximum context length is {context} tokens. "
            f"However, your messages resulted in {tokens} tokens. Please reduce the length of the messages."
        )
    return ContextLengthExceeded(message, param="messages")


def _message(answer: Mapping[str, Any]) -> str:
    error = answer["error"]
    return str(error.get("message", error) if isinstance(error, dict) else error)
