"""Log probabilities of a prompt's tokens, which the engine does not report: each is asked for by its own request.

The request for a position is the prompt before it, one token to generate, and a bias that makes it the one that comes
next; the probability that the engine then reports is of the distribution before the bias. The prompt cache leaves one
token to compute for each, so a position costs what a generated token does.
"""

from collections.abc import AsyncGenerator
from typing import Final

from shared.errors import ContextLengthExceeded
from shared.frames import Event, Progress
from worker.runtime.llama_http import EngineClient
from worker.runtime.llama_prompt import Prompt
from worker.runtime.llama_refusals import about_prompt
from worker.runtime.llama_tokens import Entry, Tokens

MOST: Final = 2048
"""Tokens of all prompts of a request. Each costs a step of the engine: 19 ms for a short prompt on one core, 50 ms on
average for one this long while the machine was busy (2,041 tokens took 101 s)."""


async def score(engine: EngineClient, prompt: Prompt, top: int) -> AsyncGenerator[list[Event], None]:
    """Fill in `prompt.entries`, with Progress after each. The first token's probability is not known: None.

    Raises ContextLengthExceeded before anything is computed.
    """
    known = Tokens(engine, top)
    positions = range(prompt.first + 1, prompt.end)
    found: dict[int, Entry] = {}
    try:
        # The last first: it is computed in large steps, or refused. After it, upwards, which every cache can follow.
        for done, at in enumerate([*positions[-1:], *positions[:-1]], 1):
            found[at] = await known.given(prompt.tokens[:at], prompt.tokens[at])
            yield [Progress("prefill", done, len(positions))]
    except ContextLengthExceeded as error:
        raise about_prompt(error, len(prompt.tokens)) from None
    prompt.entries = [_own(prompt, at, found.get(at)) for at in range(prompt.first, prompt.end)]
    if prompt.entries and prompt.pieces is None:
        await _name_first(engine, prompt)


def _own(prompt: Prompt, at: int, entry: Entry | None) -> Entry:
    """The entry in the caller's own words: what a tokenizer takes for its piece of the text."""
    entry = entry or {"token": "", "logprob": None, "bytes": [], "top_logprobs": None}
    if prompt.pieces is not None:
        piece = prompt.pieces[at - prompt.first]
        return {**entry, "token": piece.decode(errors="replace"), "bytes": list(piece)}
    # A token without text, like the end of a message, stands in the echo by its name.
    return entry if entry["bytes"] else {**entry, "bytes": list(entry["token"].encode())}


async def _name_first(engine: EngineClient, prompt: Prompt) -> None:
    assert prompt.entries
    answer = await engine.call("/detokenize", {"tokens": [prompt.tokens[prompt.first]]})
    prompt.entries[0] |= {"token": answer["content"], "bytes": list(answer["content"].encode())}
