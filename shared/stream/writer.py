"""FrameWriter: the events of one attempt, in order, to the replay log and to whoever listens."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

from shared import keys
from shared.frames import OUTPUT, TERMINAL, Delta, Event, Frame, Thought, ToolDelta
from shared.redis import UNREACHABLE
from shared.stream.wire import Command, Wire

Buffered: TypeAlias = Callable[["Pipeline"], None]
"""Adds commands that must travel with a frame."""

PACE_S = 0.01
"""A frame with text leaves no sooner than this after the one before it (s). The first never waits; an engine slower
than a token per 10 ms never notices; a faster one has its tokens travel together."""

PACE_COLLECTED_S = 0.25
"""The same when nobody sees the text before it is complete."""

_RETRY_S = (0.02, 0.05, 0.1, 0.25, 0.5)


class Fenced(Exception):
    """Somebody else holds the job by now: this attempt must not say or record anything more about it."""


class FrameWriter:
    """Writes one attempt. `put` gathers, `send` waits; both keep the order.

    A frame is one round trip: XADD to the log and PUBLISH to the channel, in this order, so that what was heard can
    always be read again. The entry's id is the frame's position, which makes a repeat after a broken connection
    harmless and refuses a writer that has been overtaken. The log lives `run_ttl_s` from the first frame and
    `log_ttl_s` from the last. With a `wire`, frames travel together with those of other writers.
    """

    def __init__(
        self,
        redis: "Redis",
        job_id: str,
        attempt: int,
        *,
        run_ttl_s: int,
        log_ttl_s: int,
        wire: Wire | None = None,
        pace_s: float = PACE_S,
        patience_s: float = 30.0,
    ) -> None:
        self._redis = redis
        self._log = keys.frame_log(job_id)
        self._channel = keys.frame_channel(job_id)
        self._attempt = attempt
        self._wire = wire
        self._run_ttl_s = run_ttl_s
        self._log_ttl_s = log_ttl_s
        self._pace_s = pace_s
        self._patience_s = patience_s
        self._seq = 0
        self._gathered: list[Event] = []
        self._also: list[Buffered] = []
        self._next_at = 0.0
        self._sending = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None
        self._sleeping = False
        self.frames = 0
        """Frames written so far, each one round trip at most."""
        self.text_sent = False
        """Whether a frame with text may have left."""
        self.joined = 0
        """Pieces that became one with the piece before them: so many fewer has a reader of the frames to tell of."""

    def put(self, events: Sequence[Event], also: Buffered | None = None) -> None:
        """Take events to be sent as soon as the pace allows; `also` adds commands to the transaction of their frame.

        Raises what an earlier send ran into.
        """
        self._gathered.extend(events)
        if also is not None:
            self._also.append(also)
        if self._flusher is None or self._flusher.done():
            if self._flusher is not None:
                self._flusher.result()
            self._flusher = asyncio.create_task(self._flush())

    async def send(
        self,
        events: Sequence[Event],
        also: Buffered | None = None,
        guard: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Send what was put, and then `events`, in one frame, now; `also` adds commands to the same transaction.

        `guard` is awaited before every try and stops it by raising. Raises Fenced, or a Redis error when the server
        stayed away longer than the writer's patience. A caller that is cancelled leaves a write under way to finish:
        half a write would leave open whether the position is taken.
        """
        self._gathered.extend(events)
        if also is not None:
            self._also.append(also)
        await asyncio.shield(asyncio.create_task(self._send(guard)))

    async def discard(self) -> None:
        """Forget what was put and not sent, and wait for a write under way. Nothing more is written after this."""
        self._gathered, self._also = [], []
        self._stop_flusher()
        async with self._sending:
            pass

    def _stop_flusher(self) -> None:
        if self._flusher is not None and self._sleeping:
            self._flusher.cancel()

    async def _flush(self) -> None:
        while self._gathered:
            wait = self._next_at - time.monotonic()
            if wait > 0:
                self._sleeping = True
                try:
                    await asyncio.sleep(wait)
                finally:
                    self._sleeping = False
            await self._send(None)

    async def _send(self, guard: Callable[[], Awaitable[None]] | None) -> None:
        async with self._sending:
            if not self._gathered:
                return
            events = merge(self._gathered)
            self.joined += sum(map(_says, self._gathered)) - sum(map(_says, events))
            self._gathered = []
            also, self._also = self._also, []
            try:
                await self._write(events, also, guard)
            except BaseException:
                # Not written, as far as is known: it stays in front of what comes, so that no text is skipped.
                self._gathered[:0], self._also[:0] = events, also
                raise
            if isinstance(events[-1], TERMINAL):
                self._stop_flusher()

    async def _write(
        self, events: tuple[Event, ...], also: list[Buffered], guard: Callable[[], Awaitable[None]] | None
    ) -> None:
        frame = Frame(self._attempt, self._seq, events)
        data = frame.encode()
        has_text = any(isinstance(event, OUTPUT) for event in events)
        if has_text:
            self.text_sent = True
            self._next_at = time.monotonic() + self._pace_s
        give_up_at = time.monotonic() + self._patience_s
        tries = 0
        while True:
            if guard is not None:
                await guard()
            try:
                answer = await self._exchange(data, has_text, frame.terminal, also)
                break
            except UNREACHABLE:
                if time.monotonic() > give_up_at:
                    raise
                await asyncio.sleep(_RETRY_S[min(tries, len(_RETRY_S) - 1)])
                tries += 1
        await self._check(answer)
        self._seq += 1
        self.frames += 1

    async def _exchange(self, data: bytes, has_text: bool, ends: bool, also: list[Buffered]) -> list[Any]:
        # The field tells the reaper, without decoding, whether the caller has seen text: `d` is text, `c` is not.
        field = "d" if has_text else "c"
        bound = ("MAXLEN", "~", keys.LOG_MAX_FRAMES)
        commands: list[Command] = [
            ("XADD", self._log, *bound, f"{self._attempt}-{self._seq}", field, data),
            ("PUBLISH", self._channel, data),
        ]
        if ends or self._seq == 0:
            commands.append(("EXPIRE", self._log, self._log_ttl_s if ends else self._run_ttl_s))
        if self._wire is not None and not also:
            return await self._wire.send(commands)
        pipe = self._redis.pipeline(transaction=bool(also))
        for command in commands:
            pipe.execute_command(*command)
        for add in also:
            add(pipe)
        return await pipe.execute(raise_on_error=False)

    async def _check(self, answer: list[Any]) -> None:
        if isinstance(answer[0], ResponseError) and "equal or smaller" in str(answer[0]):
            if not await self._written():
                raise Fenced(str(answer[0]))
            answer = answer[1:]
        for error in answer:
            if isinstance(error, ResponseError):
                raise error

    async def _written(self) -> bool:
        """Whether the position is taken because an earlier try of this very frame had arrived after all."""
        last: Any = await self._redis.xrevrange(self._log, count=1)
        return bool(last) and last[0][0] == f"{self._attempt}-{self._seq}".encode()


def merge(events: Sequence[Event]) -> tuple[Event, ...]:
    """Join neighbouring pieces of the same thing: text, thought, or arguments of one tool call."""
    if len(events) < 2:
        return tuple(events)
    merged: list[Event] = []
    for run in _runs(events):
        first = run[0]
        if len(run) == 1:
            merged.append(first)
        elif isinstance(first, ToolDelta):
            arguments = "".join([event.arguments for event in run])  # type: ignore[union-attr]
            merged.append(replace(first, arguments=arguments))
        else:
            merged.append(_joined(run))  # type: ignore[arg-type]
    return tuple(merged)


def _says(event: Event) -> bool:
    """Whether it is a piece of an answer that is not empty."""
    match event:
        case Delta(text, _, _, logprobs):
            return bool(text or logprobs)
        case Thought(text):
            return bool(text)
        case ToolDelta():
            return bool(event.arguments)
    return False


def _runs(events: Sequence[Event]) -> Iterator[list[Event]]:
    run: list[Event] = []
    for event in events:
        if run and not _continues(run[-1], event):
            yield run
            run = []
        run.append(event)
    if run:
        yield run


def _continues(last: Event, event: Event) -> bool:
    if type(event) is not type(last):
        return False
    if isinstance(event, ToolDelta) and isinstance(last, ToolDelta):
        return (event.index, event.call) == (last.index, last.call) and not event.name
    return isinstance(event, Delta | Thought) and event.index == last.index  # type: ignore[union-attr]


def _joined(run: Sequence[Delta | Thought]) -> Delta | Thought:
    text = "".join([event.text for event in run])
    tokens = sum([event.tokens for event in run])
    if isinstance(run[0], Thought):
        return Thought(text, tokens, run[0].index)
    logprobs = [entry for event in run if isinstance(event, Delta) for entry in event.logprobs or ()]
    return Delta(text, tokens, run[0].index, logprobs or None)
