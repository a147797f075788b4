"""Log probabilities of tokens from llama.cpp: of those it generated, of those it is given, of those it leaves out.

Raw: of the model's own distribution, before temperature, penalties, bias, grammar or any cut. An entry is OpenAI's:
`{"token", "logprob", "bytes", "top_logprobs": [{"token", "logprob", "bytes"}]}`. Natural logarithms.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from shared.errors import EngineFailed
from worker.runtime.llama_http import EngineClient

Entry: TypeAlias = dict[str, Any]

LEAST: Final = -9999.0
"""OpenAI's word for a token that is all but impossible; the engine's own is the lowest float."""

_LISTED: Final = 1000
"""Tokens asked for at first when one is looked for by name. One that was sampled is nearly always among them; the
whole vocabulary takes the engine about a second."""

_ALL: Final = 2**31 - 1

_FORCE: Final = 1000.0
"""A bias that no difference of logits reaches."""

_LETTER: Final = "root ::= [a-zA-Z]"
"""Any token will do that ends a character: the engine reports nothing about one that leaves a character open."""


class Tokens:
    """One request's questions about tokens. `top` is how many of the likeliest are wanted beside each."""

    def __init__(self, engine: EngineClient, top: int) -> None:
        self._engine = engine
        self._top = top
        self._names: dict[int, str] = {}
        self._pieces: dict[int, bytes] = {}

    async def entry(self, raw: Mapping[str, Any]) -> Entry:
        """The engine's report of one token as an entry. A token without text gets its name and no bytes."""
        return {
            "token": await self._name(raw),
            "logprob": max(raw["logprob"], LEAST),
            "bytes": raw["bytes"],
            "top_logprobs": [
                {"token": await self._name(each), "logprob": max(each["logprob"], LEAST), "bytes": each["bytes"]}
                for each in raw.get("top_logprobs", ())[: self._top]
            ],
        }

    async def given(self, before: Sequence[int], token: int) -> Entry:
        """The entry of `token` after the tokens `before` it, of which there is at least one."""
        raw = await self._ask(before, max(1, self._top), logit_bias=[[token, _FORCE]])
        if raw and raw["id"] == token:
            return await self.entry(raw)
        for count in (_LISTED, _ALL):
            listed = await self._listed(before, count)
            found = next((each for each in listed if each["id"] == token), None)
            if found:
                return await self.entry({**found, "top_logprobs": listed})
        raise EngineFailed("the engine does not tell the probability of a token of the prompt")

    async def left_out(
        self, before: Sequence[int], data: bytes, count: int, last: int
    ) -> tuple[list[int], list[Entry], bytes]:
        """The `count` tokens that came after `before` and left a character open, which the engine says nothing of.

        `data` are the bytes of these and of `last`, the token that closed the character. Gives their ids and entries,
        and the bytes of the last one. Where several can share their bytes in more than one way, it is the likeliest.
        """
        ids: list[int] = []
        entries: list[Entry] = []
        closing = await self._piece(before, last)
        lost = data.removesuffix(closing)
        at = 0
        for left in range(count, 0, -1):
            ends = [len(lost)] if left == 1 else range(at + 1, len(lost) - left + 2)
            pieces = {lost[at:end] for end in ends if _open(lost[:end])}
            raw = await self._likeliest([*before, *ids], pieces)
            if raw is None:
                break
            ids.append(raw["id"])
            entries.append(await self.entry(raw))
            at += len(raw["bytes"])
        return ids, entries, data[at:]

    async def _likeliest(self, before: Sequence[int], pieces: Collection[bytes]) -> Mapping[str, Any] | None:
        """The likeliest token after `before` of those with these bytes."""
        for count in (_LISTED, _ALL):
            listed = await self._listed(before, count)
            found = next((each for each in listed if bytes(each["bytes"]) in pieces), None)
            if found:
                return {**found, "top_logprobs": listed}
        return None

    async def _piece(self, before: Sequence[int], token: int) -> bytes:
        """A token's own bytes: the engine reports all that it has not said yet with the one that closes a character."""
        if token not in self._pieces:
            raw = await self._ask(before[:1], 1, logit_bias=[[token, _FORCE]])
            self._pieces[token] = bytes(raw.get("bytes", ()))
        return self._pieces[token]

    async def _listed(self, before: Sequence[int], count: int) -> list[dict[str, Any]]:
        raw = await self._ask(before, count, grammar=_LETTER)
        listed: list[dict[str, Any]] = raw.get("top_logprobs", [])
        return listed

    async def _ask(self, before: Sequence[int], count: int, **how: Any) -> dict[str, Any]:
        """The engine's report of the token after `before`; empty when it leaves a character open."""
        body = {"prompt": before, "n_predict": 1, "temperature": 0, "cache_prompt": True, "n_probs": count, **how}
        answer = await self._engine.call("/completion", body)
        reported: list[dict[str, Any]] = answer.get("completion_probabilities") or [{}]
        return reported[0]

    async def _name(self, raw: Mapping[str, Any]) -> str:
        if raw["bytes"]:
            return bytes(raw["bytes"]).decode(errors="replace")
        token = raw["id"]
        if token not in self._names:
            answer = await self._engine.call("/detokenize", {"tokens": [token]})
            self._names[token] = answer["content"]
        return self._names[token]


def _open(data: bytes) -> bool:
    """Whether bytes end in the middle of a UTF-8 character, as the engine judges it: by its first byte and no other."""
    for back, byte in enumerate(reversed(data[-3:]), 1):
        if byte >= 0xC0:
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
        if byte < 0x80:
            return False
    return False
