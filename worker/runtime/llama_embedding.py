"""Embeddings on a llama.cpp server: `/v1/embeddings`, a few batches at once, their vectors in the order of the inputs.

Strings get the model's special tokens from the engine; token arrays are taken as they are. What is wrong with an input
is only looked into after the engine has refused its batch.
"""

import asyncio
import base64
import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, PunaError
from shared.frames import Done, Event, Vectors
from worker.runtime.llama_http import EngineClient

BATCH: Final = 32
"""Inputs per call: many for the engine to fill its steps with, few enough that vectors come, and can be stopped."""

CALLS: Final = 2
"""Calls at once: one that the engine works on and one that waits, so that it never idles. More would take HTTP threads
that the health checks need."""

_LIMIT: Final = re.compile(r"(?:maximum context length is|current batch size:) (\d+)")
"""The longest input, in the engine's refusals: of one slot's context, or of one step."""

_UNKNOWN: Final = "invalid tokens"

_CANNOT: Final = "does not support embeddings"
"""What a server that was started for text says, with a status of its own fault."""

Input: TypeAlias = str | list[int]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Inputs from `first` on; `single` when the caller's input is no list of them."""

    first: int
    inputs: Sequence[Input]
    single: bool

    def param(self, index: int) -> str:
        return "input" if self.single else f"input[{self.first + index}]"


async def embed(engine: EngineClient, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
    """The vectors of `input`, batch by batch, and Done with the tokens of all.

    Raises InvalidRequest for a token that the model does not know, and ContextLengthExceeded for an input that is too
    long, unless `truncate` is set.
    """
    calls: deque[asyncio.Task[tuple[Vectors, int]]] = deque()
    waiting = deque(_batches(request["input"]))
    tokens = 0
    try:
        while waiting or calls:
            while waiting and len(calls) < CALLS:
                batch = waiting.popleft()
                calls.append(asyncio.create_task(_embed(engine, batch, truncate=bool(request.get("truncate")))))
            vectors, used = await calls[0]
            calls.popleft()
            tokens += used
            yield [vectors]
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    yield [Done(tokens, 0)]


def _batches(asked: str | list[Any]) -> list[_Batch]:
    if isinstance(asked, str) or isinstance(asked[0], int):
        return [_Batch(0, [asked], single=True)]
    return [_Batch(at, asked[at : at + BATCH], single=False) for at in range(0, len(asked), BATCH)]


async def _embed(engine: EngineClient, batch: _Batch, *, truncate: bool) -> tuple[Vectors, int]:
    try:
        return await _call(engine, batch.first, batch.inputs)
    except (InvalidRequest, EngineFailed) as refusal:
        if _UNKNOWN in refusal.message:
            raise await _unknown(engine, batch) from None
        if _CANNOT in refusal.message:
            raise InvalidRequest("this model does not support embeddings", param="model") from None
        found = _LIMIT.search(refusal.message)
        if found is None:
            raise
        limit = int(found[1])
    tokens = [await _tokens(engine, each) if isinstance(each, str) else each for each in batch.inputs]
    if not truncate:
        raise _too_long(batch, tokens, limit)
    frame = await _tokens(engine, "")
    return await _call(engine, batch.first, [_cut(each, limit, frame) for each in tokens])


async def _call(engine: EngineClient, first: int, inputs: Sequence[Input]) -> tuple[Vectors, int]:
    answer = await engine.call("/v1/embeddings", {"input": inputs, "encoding_format": "base64"})
    try:
        rows = sorted(answer["data"], key=lambda row: row["index"])
        data = b"".join([base64.b64decode(row["embedding"]) for row in rows])
        used = int(answer["usage"]["prompt_tokens"])
    except (KeyError, TypeError, ValueError):
        raise EngineFailed("the engine sent something that is not a list of embeddings") from None
    if len(rows) != len(inputs):
        raise EngineFailed(f"the engine gave {len(rows)} vectors for {len(inputs)} inputs")
    return Vectors(first, len(rows), base64.b64encode(data).decode()), used


async def _tokens(engine: EngineClient, text: str) -> list[int]:
    """A text as the engine reads it, special tokens included."""
    answer = await engine.call("/tokenize", {"content": text, "add_special": True, "parse_special": True})
    tokens: list[int] = answer["tokens"]
    return tokens


def _cut(tokens: list[int], limit: int, frame: list[int]) -> list[int]:
    """The first tokens, `limit` at most. `frame` is the empty text: its last token also ends what is cut."""
    if len(tokens) <= limit:
        return tokens
    end = frame[-1:] if tokens[-1:] == frame[-1:] else []
    return tokens[: limit - len(end)] + end


def _too_long(batch: _Batch, tokens: list[list[int]], limit: int) -> PunaError:
    index = next((i for i, each in enumerate(tokens) if len(each) > limit), 0)
    return ContextLengthExceeded(
        f"This model's maximum context length is {limit} tokens. However, '{batch.param(index)}' has "
        f"{len(tokens[index])} tokens. Please shorten it, or set 'truncate' to true.",
        param="input",
    )


async def _unknown(engine: EngineClient, batch: _Batch) -> PunaError:
    """Names the first token that is not in the vocabulary. A vocabulary is all ids below a number: found by halving."""
    listed = [(i, token) for i, each in enumerate(batch.inputs) if not isinstance(each, str) for token in each]
    ids = sorted({token for _, token in listed})
    low, high = 0, len(ids) - 1  # the highest id is one that the engine refused
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if await _known(engine, ids[middle]) else (low, middle)
    index, token = next((i, token) for i, token in listed if token >= ids[low])
    return InvalidRequest(f"token {token} is not in the model's vocabulary.", param=batch.param(index))


async def _known(engine: EngineClient, token: int) -> bool:
    try:
        await _call(engine, 0, [[token]])
    except InvalidRequest:
        return False
    return True
