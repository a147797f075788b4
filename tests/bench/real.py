"""Part `real`: the same engine process, asked through the API and directly, in turns.

Prompt cache: an engine answers a prompt that it has seen sooner. So every request, on either side, has a number of
its own at the front of its message; all have as many digits, and what comes before the number (the template's system
message) is cached for both alike. Who goes first changes from round to round, so that drift of the machine hits both
sides. Every request makes its own connection, on both sides: llama.cpp drops idle ones after 5 s.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import weights
from tests.bench.client import Answer, Client, Round, connected
from tests.bench.cpu import Meter
from tests.bench.parts import ENVIRON, Parts
from tests.bench.stats import median, percentile, summary
from tests.harness import running_stack

MODEL = "bench:latest"
SLOTS = 4

SETTLE_S = 0.03
"""After a round (s): what the parts still do for it counts as its own, and does not disturb the next one."""

_PROMPT = "{}. Tell me a very long story about the sea."


class Pair(NamedTuple):
    """A round of each side, one right after the other."""

    api: Round
    direct: Round


@dataclass(frozen=True, slots=True)
class Stage:
    """So many streams at once, for `seconds` and at least `rounds` pairs of rounds."""

    streams: int
    max_tokens: int
    seconds: float
    rounds: int


def stages(quick: bool) -> list[Stage]:
    """The first one adds to the times to first token of the second: they need many requests, but few tokens."""
    tokens, scale, rounds = (16, 0.12, 2) if quick else (64, 1.0, 3)
    seconds = {1: 30, 4: 45, 8: 40}
    return [Stage(1, 2, 40 * scale, 10), *(Stage(n, tokens, seconds[n] * scale, rounds) for n in seconds)]


def run(folder: Path, gguf: Path, *, quick: bool) -> dict[str, Any]:
    """Measure; the results, ready for JSON."""
    environ = {**ENVIRON, "PUNA_ENGINE": "xllamacpp", "PUNA_MODEL": MODEL, "PUNA_SLOTS": str(SLOTS)}
    with running_stack(folder, **environ) as stack:
        weights.add(stack.catalog, MODEL, gguf)
        parts = Parts(stack)
        streams = parts.run(_measure(parts, stages(quick)))
        return {"model": gguf.name, "slots": SLOTS, "streams": streams}


def numbers() -> Iterator[int]:
    """For the prompts of one run: any two, one after the other or not, begin alike only by chance."""
    return iter(random.Random(0).sample(range(100_000, 1_000_000), 200_000))


def body(number: int, max_tokens: int) -> dict[str, Any]:
    """A request that the engine has not seen, with the same work as every other."""
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": _PROMPT.format(number)}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def _measure(parts: Parts, plan: Sequence[Stage]) -> list[dict[str, Any]]:
    async with connected(keep_alive=False) as client:
        turns = Turns(client, parts)
        await turns.run(Stage(SLOTS, 8, 0, 3))  # every slot has seen the template
        first, *rest = [(stage, await turns.run(stage)) for stage in plan]
    return [result(stage, pairs, first[1] if stage.streams == 1 else []) for stage, pairs in rest]


class Turns:
    """Rounds of requests to each side in turns."""

    def __init__(self, client: Client, parts: Parts) -> None:
        self._client = client
        self._urls = (parts.url, parts.engine_url)
        self._meter = Meter(parts.pids)
        self._numbers = numbers()

    async def run(self, stage: Stage) -> list[Pair]:
        """The pairs of one stage."""
        pairs: list[Pair] = []
        give_up_at = time.monotonic() + stage.seconds
        while len(pairs) < stage.rounds or time.monotonic() < give_up_at:
            order = (0, 1) if len(pairs) % 2 == 0 else (1, 0)
            rounds = {side: await self._round(self._urls[side], stage) for side in order}
            pairs.append(Pair(rounds[0], rounds[1]))
        return pairs

    async def _round(self, url: str, stage: Stage) -> Round:
        requests = [body(next(self._numbers), stage.max_tokens) for _ in range(stage.streams)]
        self._meter.read()
        done = await self._client.round(url, requests)
        await asyncio.sleep(SETTLE_S)
        done.cpu_s = self._meter.read()
        return done


def result(stage: Stage, pairs: list[Pair], more_first_tokens: list[Pair]) -> dict[str, Any]:
    """One row of the table. `more_first_tokens` are pairs that only count for the time to first token."""
    first = [*more_first_tokens, *pairs]
    api, direct = _side([pair.api for pair in pairs]), _side([pair.direct for pair in pairs])
    api_ttft, direct_ttft = _ttft([pair.api for pair in first]), _ttft([pair.direct for pair in first])
    paired = [pair.api.answers[0].ttft_s - pair.direct.answers[0].ttft_s for pair in first]
    tokens = sum(pair.api.tokens for pair in pairs)
    return {
        "streams": stage.streams,
        "max_tokens": stage.max_tokens,
        "rounds": len(pairs),
        "api": {"ttft_ms": summary(api_ttft, 1e3), **api},
        "direct": {"ttft_ms": summary(direct_ttft, 1e3), **direct},
        "added_ttft_ms": {
            **{f"p{p}": (percentile(api_ttft, p) - percentile(direct_ttft, p)) * 1e3 for p in (50, 99)},
            # With several streams at once there is no telling which request belongs to which.
            "paired": summary(paired if stage.streams == 1 else [], 1e3),
        },
        "tokens_per_s_ratio": {
            "of_medians": median(_rates(pairs, 0)) / median(_rates(pairs, 1)),
            "paired": summary([pair.api.tokens_per_s / pair.direct.tokens_per_s for pair in pairs]),
        },
        "cpu_us_per_token": {
            name: sum(pair.api.cpu_s[name] for pair in pairs) / tokens * 1e6 for name in pairs[0].api.cpu_s
        },
    }


def _rates(pairs: list[Pair], side: int) -> list[float]:
    return [pair[side].tokens_per_s for pair in pairs]


def _ttft(rounds: list[Round]) -> list[float]:
    return [answer.ttft_s for each in rounds for answer in each.answers]


def _side(rounds: list[Round]) -> dict[str, Any]:
    answers: list[Answer] = [answer for each in rounds for answer in each.answers]
    return {
        "itl_ms": summary([gap for answer in answers for gap in answer.itl_s], 1e3),
        "tokens_per_s": summary([each.tokens_per_s for each in rounds]),
        "requests": len(answers),
        "tokens": sum(answer.tokens for answer in answers),
        "tokens_per_event": sum(answer.tokens for answer in answers) / sum(answer.events for answer in answers),
        "prompt_tokens": summary([answer.prompt_tokens for answer in answers]),
        "cached_tokens": summary([answer.cached_tokens for answer in answers]),
    }
