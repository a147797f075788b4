"""Part `embeddings`: sentences/s of the same engine process, asked through the API and directly, in turns.

Both sides get as many sentences per request, of the same length, each on a connection of its own; the engine keeps
nothing of an embedding. Who goes first changes from round to round.
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import minilm
from tests.bench.client import EMBEDDINGS, Client, connected
from tests.bench.parts import ENVIRON, Parts
from tests.bench.stats import summary
from tests.harness import running_stack

MODEL = "all-minilm"
INPUTS = 64
WARM_UP = 2
"""Pairs of rounds before those that count."""

_WORDS = (
    "the",
    "sea",
    "tides",
    "and",
    "boats",
    "come",
    "home",
    "late",
    "under",
    "a",
    "quiet",
    "morning",
    "light",
    "while",
)


def run(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Measure; the results, ready for JSON. The first time this fetches the model."""
    environ = {**ENVIRON, "PUNA_ENGINE": "xllamacpp", "PUNA_MODEL": MODEL, "PUNA_CATALOG": str(minilm.catalog())}
    with running_stack(folder, **environ) as stack:
        parts = Parts(stack, EMBEDDINGS, {"input": "Hello."})
        formats = parts.run(_measure(parts, seconds=4 if quick else 30))
        return {"model": MODEL, "inputs": INPUTS, "formats": formats}


async def _measure(parts: Parts, seconds: float) -> list[dict[str, Any]]:
    batches = sentences()
    async with connected(keep_alive=False) as client:
        return [await _format(client, parts, batches, name, seconds) for name in ("base64", "float")]


async def _format(
    client: Client, parts: Parts, batches: Iterator[list[str]], name: str, seconds: float
) -> dict[str, Any]:
    urls = (parts.url, parts.engine_url)
    rates: tuple[list[float], list[float]] = ([], [])
    give_up_at = time.monotonic() + seconds
    while len(rates[0]) < WARM_UP + 3 or time.monotonic() < give_up_at:
        for side in (0, 1) if len(rates[0]) % 2 == 0 else (1, 0):
            body = {"model": MODEL, "input": next(batches), "encoding_format": name}
            raw = await client.post(urls[side], body, EMBEDDINGS)
            rates[side].append(INPUTS / (raw.ended - raw.began))
    api, direct = (each[WARM_UP:] for each in rates)
    ratios = [ours / theirs for ours, theirs in zip(api, direct, strict=True)]
    return {"format": name, "api": summary(api), "direct": summary(direct), "ratio": summary(ratios)}


def sentences() -> Iterator[list[str]]:
    """Batches without end, each of sentences of 6 to 20 words: the same lengths in every batch."""
    chance = random.Random(0)
    while True:
        yield [" ".join(chance.choices(_WORDS, k=6 + number % 15)) + "." for number in range(INPUTS)]
