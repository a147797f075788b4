"""llama.cpp's answers as events: chunks of a stream, and refusals before one. Pure.

Source: llama.cpp `tools/server/README.md`; the OpenAI API reference, "The chat completion chunk object".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, PunaError
from shared.frames import Delta, Done, Event, Finish, Progress, Thought, ToolDelta
from worker.runtime.sse import DONE
from worker.runtime.tool_calls import new_call_id

_NO_VISION = "image input is not supported"

_LEAST_LOGPROB = -9999.0
"""OpenAI's for a token that cannot come; llama.cpp has the lowest float."""


class Answer:
    """One answer in the making: chunk payloads in, events out.

    `first` is added to the engine's indexes of choices. `top` is the number of alternatives at each token, None
    without log probabilities. Tokens are counted by the engine: what it holds back, a character made of several
    tokens or what may become a stop string, comes as one chunk, and with one entry of log probabilities, whose bytes
    are all of its text and whose number is the last token's. With `n` choices there are `n` usage chunks, each with
    the completion tokens of one choice and the tokens of the prompt. Tokens of thought are counted as chunks, so
    without the tags around the thought.
    """

    def __init__(self, first: int = 0, top: int | None = None) -> None:
        self.done = False
        self._first = first
        self._top = top
        self.thoughts = 0
        self.failed: EngineFailed | None = None
        """What the engine said went wrong, after all that came before it has been read."""
        self._usages: list[Mapping[str, Any]] = []

    def read(self, payloads: list[bytes]) -> list[Event]:
        """The events of one network read; runs of text for one choice are one Delta.

        Raises EngineFailed on an error chunk and on what is not a chunk. If events came before it, they are given, and
        `failed` has the error, which the next read raises.
        """
        if self.failed is not None:
            raise self.failed
        events: list[Event] = []
        try:
            self._read(payloads, events)
        except EngineFailed as error:
            if not events:
                raise
            self.failed = error
        return events

    def _read(self, payloads: list[bytes], events: list[Event]) -> None:
        texts: list[str] = []
        at = 0
        try:
            for payload in payloads:
                if payload == DONE:
                    self._flush(events, texts, at)
                    events.append(self._finish())
                    return
                chunk = orjson.loads(payload)
                choices = chunk.get("choices")
                if not choices:
                    self._note(chunk)
                    continue
                choice = choices[0]
                delta = choice["delta"]
                if len(delta) == 1 and self._top is None and (text := delta.get("content")):  # the hot path
                    if choice["index"] != at:
                        self._flush(events, texts, at)
                        at = choice["index"]
                    texts.append(text)
                elif delta:
                    self._flush(events, texts, at)
                    self._special(events, choice, delta)
                if choice["finish_reason"]:
                    self._flush(events, texts, at)
                    events.append(Finish(choice["finish_reason"], choice["index"] + self._first))
                elif "prompt_progress" in chunk:
                    events.append(_progress(chunk["prompt_progress"]))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise EngineFailed("the engine sent something that is not a chunk") from None
        finally:
            self._flush(events, texts, at)

    def _special(self, events: list[Event], choice: Mapping[str, Any], delta: Mapping[str, Any]) -> None:
        """A chunk that is more, or other, than text. Pieces that go on in the same event are joined with it."""
        index = choice["index"] + self._first
        if thought := delta.get("reasoning_content"):
            self.thoughts += 1
            _join(events, Thought(thought, 1, index))
        if text := delta.get("content"):
            entries = None
            if self._top is not None:
                entries = [_entry(each, self._top) for each in (choice.get("logprobs") or {}).get("content") or ()]
            _join(events, Delta(text, 1, index, entries))
        for call in delta.get("tool_calls") or ():
            function = call["function"]
            name = function.get("name") or ""
            own_id = new_call_id() if name else ""
            _join(events, ToolDelta(call["index"], function.get("arguments") or "", own_id, name, index))

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
            self.thoughts,
        )

    def _flush(self, events: list[Event], texts: list[str], index: int) -> None:
        if texts:
            events.append(Delta("".join(texts), len(texts), index + self._first))
            texts.clear()


def _join(events: list[Event], new: Thought | Delta | ToolDelta) -> None:
    """Append an event, or make it one with the last."""
    last = events[-1] if events else None
    if type(last) is not type(new) or last.index != new.index:
        events.append(new)
    elif isinstance(last, Thought) and isinstance(new, Thought):
        events[-1] = Thought(last.text + new.text, last.tokens + new.tokens, new.index)
    elif isinstance(last, Delta) and isinstance(new, Delta):
        entries = None if new.logprobs is None else [*(last.logprobs or ()), *new.logprobs]
        events[-1] = Delta(last.text + new.text, last.tokens + new.tokens, new.index, entries)
    elif isinstance(last, ToolDelta) and isinstance(new, ToolDelta) and not new.id and last.call == new.call:
        events[-1] = ToolDelta(new.call, last.arguments + new.arguments, last.id, last.name, new.index)
    else:
        events.append(new)


def _entry(raw: Mapping[str, Any], top: int) -> dict[str, Any]:
    """OpenAI's entry for a token, without llama.cpp's own `id`."""
    others: Sequence[Mapping[str, Any]] = raw.get("top_logprobs") or ()
    return {**_token(raw), "top_logprobs": [_token(each) for each in others[:top]]}


def _token(raw: Mapping[str, Any]) -> dict[str, Any]:
    logprob = raw["logprob"]
    return {
        "token": raw["token"],
        "logprob": max(logprob, _LEAST_LOGPROB) if logprob is not None else _LEAST_LOGPROB,
        "bytes": raw["bytes"],
    }


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
