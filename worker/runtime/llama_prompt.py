"""Prompts of a completion as tokens: text, tokens, a templated message, or a gap to fill in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.errors import InvalidRequest
from worker.runtime.llama_http import EngineClient
from worker.runtime.llama_tokens import Entry
from worker.runtime.llama_vocabulary import ensure_known

_STARTS = ("<|endoftext|>", "<|end_of_text|>", "<s>")
"""Tokens between documents, where the model has none that every text begins with."""

_FIM = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
    ("<PRE>", "<SUF>", "<MID>"),
)
"""Names of the tokens around a gap: before, after, and where the answer begins. As llama.cpp finds them."""


@dataclass(slots=True)
class Prompt:
    """`tokens` are what the engine gets. The caller's own are `tokens[first:end]`, and `text` is what is echoed.

    `pieces` are the bytes of the caller's own tokens, where they are known; `entries` their log probabilities.
    """

    tokens: list[int]
    text: str = ""
    first: int = 0
    end: int = 0
    pieces: list[bytes] | None = None
    entries: list[Entry] | None = field(default=None, repr=False)


class PromptReader:
    """Reads the prompts of one request."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine
        self._begin: list[int] | None = None

    async def read(self, request: Mapping[str, Any]) -> list[Prompt]:
        """All prompts. Raises InvalidRequest for a token that is not in the vocabulary, or for a model without
        tokens to fill in with."""
        arrays = [each for each in request["prompts"] if not isinstance(each, str)]
        await ensure_known(self._engine, [token for each in arrays for token in each], "prompt")
        await ensure_known(self._engine, [int(token) for token in request.get("logit_bias", {})], "logit_bias")
        if (suffix := request.get("suffix")) is not None:
            around = await self._around()
            return [await self._gap(each, suffix, around) for each in request["prompts"]]
        template, echo = request.get("template"), bool(request.get("echo"))
        return [
            await self._text(each, template) if isinstance(each, str) else await self._array(each, echo=echo)
            for each in request["prompts"]
        ]

    async def _text(self, text: str, template: Sequence[Mapping[str, Any]] | None) -> Prompt:
        """`template` are the messages before a text that becomes one itself; None for a raw text."""
        if template is not None:
            messages = [*template, {"role": "user", "content": text}]
            rendered = await self._engine.call("/apply-template", {"messages": messages})
            tokens, _ = await self._tokenize(rendered["prompt"], add_special=True)
            return Prompt(tokens, text, len(tokens), len(tokens))
        tokens, pieces = await self._tokenize(text, add_special=True)
        begin = await self._beginning()
        first = len(begin) if tokens[: len(begin)] == begin else 0
        if not tokens:
            tokens = [await self._start()]
            return Prompt(tokens, text, len(tokens), len(tokens))
        return Prompt(tokens, text, first, len(tokens), _fitted(pieces[first:], text))

    async def _array(self, tokens: list[int], *, echo: bool) -> Prompt:
        text = await self._words(tokens) if echo else ""
        return Prompt(tokens, text, 0, len(tokens))

    async def _gap(self, prompt: str | list[int], suffix: str, around: tuple[int, ...]) -> Prompt:
        """What comes before the gap, and after it, in the form of llama.cpp's `/infill`, which would cut long ones."""
        begin, (before, after, middle) = await self._beginning(), around
        pieces: list[bytes] | None = None
        if isinstance(prompt, str):
            text = prompt
            own, pieces = await self._tokenize(prompt, parse_special=False)
            pieces = _fitted(pieces, text)
        else:
            own, text = prompt, await self._words(prompt)
        rest, _ = await self._tokenize(suffix, parse_special=False)
        first = len(begin) + 1
        return Prompt([*begin, before, *own, after, *rest, middle], text, first, first + len(own), pieces)

    async def _around(self) -> tuple[int, ...]:
        names = [name for triple in _FIM for name in triple]
        tokens, pieces = await self._tokenize("".join(names))
        ids = {_plain(piece.decode(errors="replace")): token for token, piece in zip(tokens, pieces, strict=True)}
        for triple in _FIM:
            found = tuple(ids[_plain(name)] for name in triple if _plain(name) in ids)
            if len(found) == len(triple):
                return found
        raise InvalidRequest(
            "this model does not support insert: its vocabulary has no tokens around a gap", param="suffix"
        )

    async def _beginning(self) -> list[int]:
        """What the model puts before every text: its BOS token, or nothing."""
        if self._begin is None:
            self._begin, _ = await self._tokenize("", add_special=True)
        return self._begin

    async def _start(self) -> int:
        """The token that an empty prompt becomes. Raises InvalidRequest when the model has none."""
        for name in _STARTS:
            tokens, _ = await self._tokenize(name)
            if len(tokens) == 1:
                return tokens[0]
        raise InvalidRequest("this model has no token that a document begins with: it needs a prompt", param="prompt")

    async def _tokenize(
        self, text: str, *, add_special: bool = False, parse_special: bool = True
    ) -> tuple[list[int], list[bytes]]:
        body = {"content": text, "add_special": add_special, "parse_special": parse_special, "with_pieces": True}
        found = (await self._engine.call("/tokenize", body))["tokens"]
        pieces = [each["piece"] for each in found]
        return [each["id"] for each in found], [
            each.encode() if isinstance(each, str) else bytes(each) for each in pieces
        ]

    async def _words(self, tokens: Sequence[int]) -> str:
        return str((await self._engine.call("/detokenize", {"tokens": list(tokens)}))["content"])


def _plain(name: str) -> str:
    """A piece as its token is called: SentencePiece writes a space as `▁`."""
    return name.replace("▁", " ").strip()


def _fitted(pieces: list[bytes], text: str) -> list[bytes]:
    """Without the space that some tokenizers put before every text."""
    if pieces and b"".join(pieces) == b" " + text.encode():
        return [pieces[0][1:], *pieces[1:]]
    return pieces
