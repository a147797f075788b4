"""Completions on a llama.cpp server: every choice of every prompt is a request of its own, all of them one stream.

The engine takes one prompt a request. With `best_of`, all candidates are kept here until the best are known.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from shared.constrain.answer import format_held
from shared.constrain.guide import guide
from shared.errors import InvalidRequest
from shared.frames import Delta, Done, Event, Finish, Progress
from worker.runtime import llama_schema
from worker.runtime.fan_out import fan_out
from worker.runtime.llama_choice import Choice
from worker.runtime.llama_http import EngineClient
from worker.runtime.llama_prompt import Prompt, PromptReader
from worker.runtime.llama_score import MOST, score

MAX_TOKENS: Final = 16
"""OpenAI's default."""

_SEEDS: Final = 2**32 - 1
"""llama.cpp takes this one to mean "random"."""

_ALIKE: Final = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
"""Fields that the engine has by the same name."""


class _Run:
    """One request: its prompts, and a Choice for each candidate of each, prompt by prompt."""

    def __init__(self, request: Mapping[str, Any], prompts: Sequence[Prompt]) -> None:
        self.prompts = prompts
        self.n = request.get("n", 1)
        self.each = max(self.n, request.get("best_of", 1))
        self.ranked = self.each > self.n
        self.limit = request.get("max_tokens", MAX_TOKENS)
        self.wanted = request.get("logprobs")
        self._request = request
        self.held = _held(request)
        self.choices = [
            Choice(
                at * self.each + candidate,
                prompt,
                request.get("stop", ()),
                logprobs=self.wanted is not None or self.ranked,
                echo=bool(request.get("echo")),
            )
            for at, prompt in enumerate(prompts)
            for candidate in range(self.each)
        ]

    @property
    def top(self) -> int:
        return self.wanted or 0

    def body(self, index: int) -> dict[str, Any]:
        """What the engine is asked for a choice. The candidates of a prompt differ in their seeds."""
        request = self._request
        body = {name: request[name] for name in _ALIKE if name in request} | request.get("options", {})
        if (seed := request.get("seed")) is not None:
            body["seed"] = (seed + index % self.each) % _SEEDS
        if bias := request.get("logit_bias"):
            body["logit_bias"] = [[int(token), value] for token, value in bias.items()]
        body |= self.held
        if self.wanted is not None or self.ranked:
            body["n_probs"] = max(1, self.top)
        tokens = self.prompts[index // self.each].tokens
        return {**body, "prompt": tokens, "n_predict": self.limit, "stream": True, "return_progress": True}

    def done(self) -> Done:
        """Tokens of a prompt count once, those of every candidate count."""
        return Done(
            sum(len(prompt.tokens) for prompt in self.prompts),
            sum(choice.tokens for choice in self.choices),
            sum(choice.cached for choice in self.choices[:: self.each]) if self.choices else 0,
        )


def _held(request: Mapping[str, Any]) -> dict[str, Any]:
    """The field of the engine's that holds an answer to the JSON that is wanted, if any."""
    found = format_held(request.get("response_format"))
    if found is None:
        return {}
    return {"grammar": guide(found.schema)} if found.guided else {"json_schema": found.schema}


async def completion(engine: EngineClient, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
    """The events of one completion, in batches; a choice's index is its prompt's number × `n` + its own.

    Raises InvalidRequest with `param`, ContextLengthExceeded or EngineFailed.
    """
    run = _Run(request, await PromptReader(engine).read(request))
    if run.held:
        await llama_schema.ensure(engine, run.held)
    if request.get("echo") and run.wanted is not None:
        async for batch in _scored(engine, run):
            yield batch
    if run.limit == 0:
        yield [event for choice in run.choices for event in (*choice.echoed(), choice.cut())]
    else:
        batches = _ranked(engine, run) if run.ranked else _generated(engine, run)
        try:
            async for batch in batches:
                yield batch
        finally:
            await batches.aclose()
    yield [run.done()]


async def _scored(engine: EngineClient, run: _Run) -> AsyncGenerator[list[Event], None]:
    tokens = sum(prompt.end - prompt.first for prompt in run.prompts)
    if tokens > MOST:
        raise InvalidRequest(
            f"'echo' with 'logprobs' is for prompts of {MOST} tokens in all at most; these have {tokens}.",
            param="prompt",
        )
    batches = fan_out([score(engine, prompt, run.top) for prompt in _longest_first(run.prompts)], engine.slots)
    try:
        async for batch in batches:
            yield batch
    finally:
        await batches.aclose()


def _longest_first(prompts: Sequence[Prompt]) -> list[Prompt]:
    return sorted(prompts, key=lambda prompt: -len(prompt.tokens))


def _generated(engine: EngineClient, run: _Run) -> AsyncGenerator[list[Event], None]:
    """All choices, the longest prompt first: when the engine takes that, it takes the others."""
    order = sorted(range(len(run.choices)), key=lambda index: -len(run.prompts[index // run.each].tokens))
    return fan_out([run.choices[index].run(engine, run.body(index), run.top) for index in order], engine.slots)


async def _ranked(engine: EngineClient, run: _Run) -> AsyncGenerator[list[Event], None]:
    """The `n` best candidates of each prompt, by the mean log probability of their tokens, the best first."""
    kept: list[list[Event]] = [[] for _ in run.choices]
    over = 0
    batches = _generated(engine, run)
    try:
        async for batch in batches:
            for event in batch:
                if isinstance(event, Delta | Finish):
                    kept[event.index].append(event)
                    over += isinstance(event, Finish)
            yield [Progress("generating", over, len(kept))]
    finally:
        await batches.aclose()
    for at in range(len(run.prompts)):
        candidates = range(at * run.each, (at + 1) * run.each)
        best = sorted(candidates, key=lambda index: -run.choices[index].mean)[: run.n]
        for rank, index in enumerate(best):
            yield [_as_choice(event, at * run.n + rank, run) for event in kept[index]]


def _as_choice(event: Any, index: int, run: _Run) -> Event:
    if isinstance(event, Delta) and run.wanted is None:
        event = replace(event, logprobs=None)
    moved: Event = replace(event, index=index)
    return moved
