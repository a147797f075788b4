"""The models of one worker: engines are started and stopped as `residency` decides. All effects, no decision."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shared.errors import ModelUnavailable, PunaError
from worker.member import Free, Make, Member, OnBytes, nothing
from worker.residency import Evict, Load, Residency, Rules
from worker.runtime.engine import Engine, EngineState

log = logging.getLogger("puna.worker")

TROUBLE_S = 5.0
"""A model that could not be brought to its engine is tried again after this (s); until then its jobs fail."""

_TOLD_S = 1.0
"""How often a download's progress is told (s)."""

_HORIZON_S = 3600.0
"""A timer is set no further ahead (s)."""


class Fleet:
    """All members of a worker, and the memory they share. `now` is a monotonic clock."""

    def __init__(self, rules: Rules, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.residency = Residency(rules, {})
        self.members: dict[str, Member] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looking = False
        self._closed = False

    def add(
        self,
        queue: str,
        model: str,
        size: int,
        slots: int,
        make: Make,
        free: Free | None = None,
        context: int = 0,
    ) -> Member:
        """A model to be loaded when it is asked for; `size` in bytes, `context` of a slot in tokens. `free` is called
        when its engine is gone."""
        member = Member(self, queue, model, slots, make, free or nothing, context)
        self.members[queue] = member
        self.residency.sizes[queue] = size
        if not self.residency.fits(queue):
            budget = self.residency.rules.budget
            member.trouble = ModelUnavailable(
                f"model '{model}' needs {_gb(size)} of memory, and this worker has {_gb(budget)} for models",
                param="model",
            )
            log.error("%s", member.trouble.message)
        return member

    def refuse(self, queue: str, model: str, slots: int, error: PunaError) -> Member:
        """A model that cannot be had: its jobs fail with `error`."""
        member = self.add(queue, model, 0, slots, _unmade)
        member.trouble = error
        self.residency.bar(queue, barred=True)
        return member

    def remove(self, queue: str) -> None:
        """A model that is not loaded is not served any more."""
        del self.members[queue]
        self.residency.forget(queue)

    async def preload(self, member: Member) -> None:
        """Load a model before anybody asks; nothing when it does not fit. Raises PunaError."""
        if member.trouble is None and member.queue not in self.residency.residents:
            self.residency.load(member.queue, self.now())
            await self._load(member)

    def look(self) -> None:
        """Have the residency decide soon: once for all that happens until then."""
        if not self._looking and not self._closed:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def freeze(self) -> None:
        """Load and unload nothing more: whoever takes jobs is draining."""
        self._closed = True

    @property
    def frozen(self) -> bool:
        return self._closed

    async def close(self) -> None:
        """Stop every engine."""
        self.freeze()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(member.stop() for member in self.members.values()))

    def _look(self) -> None:
        self._looking = False
        if self._closed:
            return
        now = self.now()
        for action in self.residency.decide(now):
            match action:
                case Load(queue):
                    self._begin(self._loading(self.members[queue]))
                case Evict(queue):
                    self._begin(self._unload(self.members[queue]))
        if self._timer is not None:
            self._timer.cancel()
        at = self.residency.next_at(now)
        self._timer = (
            None if at is None else asyncio.get_running_loop().call_later(min(at - now, _HORIZON_S), self._look)
        )

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _loading(self, member: Member) -> None:
        try:
            await self._load(member)
        except Exception as error:
            # What cannot be had now may be had later; those who wait are told meanwhile.
            log.exception("%s cannot be loaded", member.model)
            known = error if isinstance(error, PunaError) else PunaError("internal error")
            member.trouble = known
            self.residency.bar(member.queue, barred=True)
            asyncio.get_running_loop().call_later(TROUBLE_S, self._forgive, member)
            member.changed()
        self.look()

    async def _load(self, member: Member) -> None:
        resident = self.residency.residents[member.queue]
        log.info("loading %s, %s", member.model, _gb(resident.size))
        member.changed()
        try:
            engine = await member.make(lambda state: self._on_state(member, state), self._on_bytes(member))
            await engine.start()
        except BaseException:
            self.residency.gone(member.queue)
            raise
        finally:
            member.fetched = None
        member.engine = engine
        member.changed()

    async def _unload(self, member: Member) -> None:
        log.info("unloading %s", member.model)
        await member.stop()
        member.engine = None
        await member.free()
        self.residency.gone(member.queue)
        member.changed()
        self.look()

    def _on_bytes(self, member: Member) -> OnBytes:
        """Tells of a download, from its threads, now and then."""
        loop, told_at = asyncio.get_running_loop(), 0.0

        def tell(there: int, total: int) -> None:
            nonlocal told_at
            if self.now() - told_at < _TOLD_S:
                return
            told_at = self.now()
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._fetched, member, there, total)

        return tell

    def _fetched(self, member: Member, there: int, total: int) -> None:
        if member.engine is None and member.queue in self.residency.residents:
            member.fetched = (there, total)
            member.changed()

    def _on_state(self, member: Member, state: EngineState) -> None:
        if member.queue not in self.residency.residents:
            return
        if state is EngineState.READY:
            self.residency.ready(member.queue, self.now())
            member.changed()
        elif state is EngineState.BACKOFF:
            self.residency.broken(member.queue)
        self.look()

    def _forgive(self, member: Member) -> None:
        member.trouble = None
        self.residency.bar(member.queue, barred=False)
        member.changed()
        self.look()


async def _unmade(*_: object) -> Engine:
    raise ModelUnavailable("there is no such model")


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 10_000_000 else f"{size} bytes"
