"""One choice of a completion on a llama.cpp server: `/completion`, as a stream.

Its chunks: `{"content", "tokens", "tokens_predicted", "completion_probabilities"?, "stop": false}` per token that ends
a character, `{"prompt_progress"}` before them, and at the end `{"stop": true, "stop_type", "tokens_predicted"}` with no
`[DONE]`. Source: llama.cpp `tools/server/README.md`, and the engine itself (b11549).
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import orjson

from shared.errors import ContextLengthExceeded, EngineFailed
from shared.frames import Delta, Event, Finish, Progress
from worker.runtime.llama_http import EngineClient
from worker.runtime.llama_prompt import Prompt
from worker.runtime.llama_refusals import about_prompt
from worker.runtime.llama_tokens import Entry, Tokens
from worker.runtime.stop_text import TracedText


class Choice:
    """One generation. `logprobs` says that text comes with an entry for each of its tokens.

    Afterwards, also when it was cut short: `tokens` generated, `cached` tokens of the prompt, and `scores`, the log
    probabilities of the tokens of the text.
    """

    def __init__(self, index: int, prompt: Prompt, stops: Sequence[str], *, logprobs: bool, echo: bool) -> None:
        self.tokens = 0
        self.cached = 0
        self.scores: list[float] = []
        self._index = index
        self._prompt = prompt
        self._text = TracedText(stops)
        self._logprobs = logprobs
        self._echo = echo
        self._over = False
        self._ids: list[int] = []
        self._sent_tokens = 0

    @property
    def mean(self) -> float:
        """Mean log probability of the tokens of the text; of no text, less than of any."""
        return sum(self.scores) / len(self.scores) if self.scores else float("-inf")

    def cut(self) -> Finish:
        """The end of a choice that may not have a token."""
        return Finish("length", self._index)

    async def run(self, engine: EngineClient, body: Mapping[str, Any], top: int) -> AsyncGenerator[list[Event], None]:
        """Its events, one Finish at their end. Raises ContextLengthExceeded, InvalidRequest or EngineFailed."""
        known = Tokens(engine, top)
        payloads = engine.stream("/completion", body)
        try:
            async for batch in payloads:
                events: list[Event] = []
                for payload in batch:
                    events += await self._read(payload, known)
                    if self._over:
                        break
                if events:
                    yield [*self.echoed(), *events]
                if self._over:
                    return
        except ContextLengthExceeded as error:
            raise about_prompt(error, len(self._prompt.tokens)) from None
        finally:
            await payloads.aclose()

    def echoed(self) -> list[Event]:
        """The prompt as the first text, once, if it is to be echoed."""
        if not self._echo:
            return []
        self._echo = False
        entries = self._prompt.entries
        return [Delta(self._prompt.text, 0, self._index, entries)] if self._prompt.text or entries else []

    async def _read(self, payload: bytes, known: Tokens) -> list[Event]:
        try:
            chunk = orjson.loads(payload)
            if "error" in chunk:
                raise EngineFailed(f"the engine failed: {chunk['error'].get('message')}")
            if progress := chunk.get("prompt_progress"):
                self.cached = progress["cache"]
                return [Progress("prefill", progress["processed"], progress["total"])]
            if chunk["stop"]:
                return self._end(chunk["stop_type"], chunk["tokens_predicted"])
            return await self._token(chunk, known)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise EngineFailed("the engine sent something that is not a chunk") from None

    async def _token(self, chunk: Mapping[str, Any], known: Tokens) -> list[Event]:
        entries = await self._note(chunk, chunk["tokens_predicted"] - self.tokens - 1, known) if self._logprobs else []
        self.tokens = chunk["tokens_predicted"]
        events = self._said(*self._text.feed(chunk["content"], entries))
        return [*events, *self._finish("stop")] if self._text.hit else events

    async def _note(self, chunk: Mapping[str, Any], left_out: int, known: Tokens) -> list[Entry]:
        """The entries of a chunk: one, and one more for each token that had left a character open."""
        (raw,) = chunk["completion_probabilities"]
        ids: list[int] = []
        entries: list[Entry] = []
        data = bytes(raw["bytes"])
        if left_out > 0:
            before = [*self._prompt.tokens, *self._ids]
            ids, entries, data = await known.left_out(before, data, left_out, raw["id"])
        entries.append(await known.entry({**raw, "bytes": list(data)}))
        self._ids += [*ids, raw["id"]]
        return entries

    def _said(self, text: str, entries: list[Entry]) -> list[Event]:
        """Text that is certain, with the entries of the tokens that begin in it."""
        if not text:
            return []
        self.scores += [entry["logprob"] for entry in entries]
        new, self._sent_tokens = self.tokens - self._sent_tokens, self.tokens
        return [Delta(text, new, self._index, entries if self._logprobs else None)]

    def _end(self, stop_type: str, tokens: int) -> list[Event]:
        self.tokens = tokens
        reason = "length" if stop_type == "limit" else "stop"
        return [*self._said(*self._text.rest()), *self._finish(reason)]

    def _finish(self, reason: str) -> list[Event]:
        self._over = True
        return [Finish(reason, self._index)]
