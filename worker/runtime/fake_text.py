"""The fake engine's text: a token is a byte, and an answer counts, whatever it goes on from.

`/completion`, `/tokenize`, `/detokenize`, `/apply-template` and `/v1/embeddings`, in llama.cpp's shapes.
"""

import asyncio
import base64
import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from worker.runtime.fake_chat import BURST, Stats, accident, entry, token
from worker.runtime.fake_http import Connection
from worker.runtime.fake_plan import Knobs, prompt_of
from worker.runtime.fake_schema import pieces_of

SPECIAL: Final = ("<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
"""Tokens with a name, from id 256 on."""

DIMENSIONS: Final = 8

_BYTES: Final = 256

CHAT: Final = "\x02"
"""What a templated chat begins with: its tokens are its words, as where it is answered."""


def tokenize(text: str, *, special: bool = True) -> list[int]:
    """A text's tokens. With `special` the names of special tokens are read as such."""
    if special and text.startswith(CHAT):
        return [ord(" ")] * len(text.split())
    if special:
        for number, name in enumerate(SPECIAL):
            before, found, after = text.partition(name)
            if found:
                return [*tokenize(before), _BYTES + number, *tokenize(after)]
    return list(text.encode())


def detokenize(tokens: Sequence[int]) -> str:
    """The text of tokens. Raises ValueError for one that is not in the vocabulary."""
    return b"".join(piece(each) for each in tokens).decode(errors="replace")


def piece(number: int) -> bytes:
    """One token's bytes. Raises ValueError."""
    if not 0 <= number < _BYTES + len(SPECIAL):
        raise ValueError(f"token {number} is not in the vocabulary")
    return bytes([number]) if number < _BYTES else SPECIAL[number - _BYTES].encode()


def tokens_of(prompt: str | Sequence[int]) -> list[int]:
    """A prompt's tokens, in either form. Raises ValueError."""
    if isinstance(prompt, str):
        return tokenize(prompt)
    detokenize(prompt)
    return list(prompt)


def look(path: str, body: Mapping[str, Any]) -> Any:
    """The answer of a route that generates nothing; None for another route. Raises ValueError, KeyError, TypeError."""
    if path == "/tokenize":
        tokens = tokenize(body["content"], special=body.get("parse_special", True))
        if body.get("with_pieces"):
            return {"tokens": [{"id": each, "piece": _piece(each)} for each in tokens]}
        return {"tokens": tokens}
    if path == "/detokenize":
        return {"content": detokenize(body["tokens"])}
    if path == "/apply-template":
        return {"prompt": CHAT + prompt_of(body)}
    return None


def embeddings(inputs: Sequence[list[int]], *, as_base64: bool) -> dict[str, Any]:
    """Vectors of length 1, the same for the same tokens."""
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(each, as_base64=as_base64)}
        for index, each in enumerate(inputs)
    ]
    used = sum(len(each) for each in inputs)
    return {"object": "list", "model": "fake", "data": data, "usage": {"prompt_tokens": used, "total_tokens": used}}


@dataclass(frozen=True, slots=True)
class TextPlan:
    """One completion, decided: `pieces` are its tokens."""

    knobs: Knobs
    prompt_tokens: int
    pieces: list[str]
    limited: bool
    stream: bool
    progress: bool
    alternatives: int

    @classmethod
    def of(cls, body: Mapping[str, Any], knobs: Knobs) -> "TextPlan":
        """Raises ValueError, KeyError or TypeError on what is no completion."""
        schema = body.get("json_schema")
        format_ = {"type": "json_schema", "json_schema": {"schema": schema}} if schema is not None else None
        constrained = pieces_of({"response_format": format_, "grammar": _json_grammar(body)})
        whole = constrained if constrained is not None else [token(k) for k in range(knobs.tokens)]
        limit = body.get("n_predict", -1)
        pieces = whole if limit < 0 else whole[:limit]
        if constrained is None and limit > len(whole):
            pieces = [token(k) for k in range(limit)]  # as in a chat, a limit is the length
        return cls(
            knobs=knobs,
            prompt_tokens=len(tokens_of(body["prompt"])),
            pieces=pieces,
            limited=limit >= 0 and len(pieces) == limit and (constrained is None or limit < len(whole)),
            stream=bool(body.get("stream")),
            progress=bool(body.get("return_progress")),
            alternatives=body.get("n_probs") or 0,
        )

    def chunk(self, k: int) -> dict[str, Any]:
        """The k-th token."""
        told: dict[str, Any] = {"index": 0, "content": self.pieces[k], "tokens": [k], "stop": False}
        if self.alternatives:
            told["completion_probabilities"] = [entry(self.pieces[k], self.alternatives)]
        return {**told, "tokens_predicted": k + 1, "tokens_evaluated": self.prompt_tokens}

    def last(self, content: str) -> dict[str, Any]:
        counts = {"tokens_predicted": len(self.pieces), "tokens_evaluated": self.prompt_tokens}
        return {
            "content": content,
            "tokens": [],
            "stop": True,
            "stop_type": "limit" if self.limited else "eos",
            **counts,
        }


async def complete(connection: Connection, plan: TextPlan, stats: Stats, crash: Callable[[], None]) -> None:
    """The completion, as events or as one body."""
    knobs = plan.knobs
    await asyncio.sleep(knobs.delay)
    if not plan.stream:
        await asyncio.sleep(len(plan.pieces) / knobs.rate if knobs.rate else 0)
        stats.tokens += len(plan.pieces)
        probabilities = [chunk["completion_probabilities"][0] for chunk in _chunks(plan)] if plan.alternatives else []
        told = {"completion_probabilities": probabilities} if probabilities else {}
        connection.send_json(200, plan.last("".join(plan.pieces)) | told)
        return
    connection.begin_events()
    if plan.progress:
        total = plan.prompt_tokens
        progress = {"total": total, "cache": 0, "processed": total, "time_ms": 0}
        connection.send_event({"content": "", "stop": False, "tokens_predicted": 0, "prompt_progress": progress})
    for k, chunk in enumerate(_chunks(plan)):
        if k in (knobs.crash_after, knobs.silent_after, knobs.error_after):
            await accident(connection, knobs, k, crash)
            return
        if knobs.rate:
            await asyncio.sleep(1 / knobs.rate)
        elif k % BURST == 0:
            await connection.drain()
        connection.send_event(chunk)
        stats.tokens += 1
    connection.send_event(plan.last(""))
    connection.end_events()
    await connection.drain()


def _chunks(plan: TextPlan) -> list[dict[str, Any]]:
    return [plan.chunk(k) for k in range(len(plan.pieces))]


def _json_grammar(body: Mapping[str, Any]) -> str | None:
    """A grammar of the kind that holds a JSON schema; the others are not looked at."""
    grammar = body.get("grammar")
    return grammar if isinstance(grammar, str) and "%json " in grammar else None


def _piece(number: int) -> str | list[int]:
    """As llama.cpp tells it: text, or bytes that are none."""
    data = piece(number)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


def _vector(tokens: list[int], *, as_base64: bool) -> str | list[float]:
    digest = hashlib.sha256(repr(tokens).encode()).digest()
    values = [value / 2**31 - 1 for value in struct.unpack(f"<{DIMENSIONS}I", digest)]
    length = math.hypot(*values)
    row = struct.pack(f"<{DIMENSIONS}f", *(value / length for value in values))
    return base64.b64encode(row).decode() if as_base64 else list(struct.unpack(f"<{DIMENSIONS}f", row))
