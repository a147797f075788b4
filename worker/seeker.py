"""Models that nobody is named to serve: a worker takes their queues up when jobs come, and leaves them again.

An admission to a queue that nobody serves notes it as wanted. Every worker that serves any model looks at what is
wanted, when a message says so and once a second; one of them takes the queue up. A queue that is left, or whose worker
died, is still noted for a while, so that jobs that come at that moment are seen by the next look. So is one whose jobs
wait too long: those who serve it are helped by one more at a time that has memory to spare.
"""

import asyncio
import logging
import math
import os
import secrets
import socket
import time
from typing import Any, NamedTuple

from redis.asyncio import Redis

from shared import keys
from shared.catalog.catalog import Catalog, CatalogModel
from shared.catalog.store import Store
from shared.errors import ModelUnavailable, PunaError
from shared.redis import UNREACHABLE, Scripts
from shared.settings import Settings
from shared.stream.pubsub import Subscriptions
from worker.estimate import Need, estimate
from worker.fleet import Fleet
from worker.member import Member
from worker.roster import Roster

log = logging.getLogger("puna.worker")

_LOOK_S = 1.0

_EVICTING_S = 0.2
"""A worker that must unload another model first leaves a queue to others for so long (s)."""

_UNFIT_S = 2.0
"""The same, for one whose memory is too small: then it tells the callers so."""

_LEFT_S = 60.0
"""A queue is left when its model has been unloaded and unwanted for so long (s)."""

_REFUSED_S = 5.0
"""The same, for a model that cannot be had: it may be there when it is asked for again."""


class Seeker:
    """Takes up queues into a roster."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        fleet: Fleet,
        roster: Roster,
        redis: "Redis",
        subscriptions: Subscriptions,
    ) -> None:
        self._settings = settings
        self._store = store
        self._catalog = Catalog(store)
        self._fleet = fleet
        self._roster = roster
        self._redis = redis
        self._scripts = Scripts(redis)
        self._subscriptions = subscriptions
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._taken: dict[str, _Taken] = {}
        self._seen: dict[str, float] = {}
        """Queues that are wanted and were left to others, and since when."""
        self._needs: dict[str, Need] = {}
        """Of queues that are wanted: the head of the weights is read once, however long there is no room for them."""
        self._wake = asyncio.Event()
        self._draining = False

    async def run(self) -> None:
        """Until `drain` is called. Outlives Redis and the catalog: everything is tried again."""
        await self._subscriptions.subscribe(keys.WANTED_CHANNEL, self._on_wanted)
        try:
            while not self._draining:
                self._wake.clear()
                pause = _LOOK_S
                try:
                    pause = await self._look()
                except (*UNREACHABLE, PunaError) as error:
                    log.warning("cannot look for models: %s", error)
                except Exception:
                    log.exception("looking for models failed")
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    pass
            await self._word(0)
        except UNREACHABLE:
            pass  # its word lapses
        finally:
            await self._subscriptions.unsubscribe(keys.WANTED_CHANNEL, self._on_wanted)

    def drain(self) -> None:
        """Take nothing more up."""
        self._draining = True
        self._wake.set()

    def _on_wanted(self, member: bytes | None) -> None:
        self._wake.set()

    async def _look(self) -> float:
        """Take up what is wanted and leave what is not; when to look again at the latest (s)."""
        await self._leave()
        wanted = await self._word(math.ceil(self._settings.lease_s * 1000))
        queues = {each.queue for each in wanted}
        self._seen = {queue: since for queue, since in self._seen.items() if queue in queues}
        self._needs = {queue: need for queue, need in self._needs.items() if queue in queues}
        pause = _LOOK_S
        for each in wanted:
            # Every worker serves the catalog; and a queue that is being left is taken up when that has ended.
            if each.queue != keys.CATALOG_QUEUE and each.queue not in self._roster:
                pause = min(pause, await self._consider(each))
        return pause

    async def _word(self, life_ms: int) -> "list[_Wanted]":
        """Say that this worker lives, or no more; gives what is wanted."""
        served = [keys.wanted(queue, taken.name) for queue, taken in self._taken.items()]
        found: list[Any] = await self._scripts.run(
            "seek",
            [keys.SEEKERS, keys.WANTED],
            [
                self._name,
                life_ms,
                keys.WANTED_MS,
                keys.rq_queue(""),
                keys.admitted(""),
                keys.serving(""),
                keys.pace(""),
                keys.HELP_MS,
                *served,
            ],
        )
        return [_Wanted(*_split(member), serving) for member, serving in zip(found[::2], found[1::2], strict=True)]

    async def _consider(self, wanted: "_Wanted") -> float:
        """Take a queue up, unless another worker is to have it; when to consider it again (s)."""
        queue, name, serving = wanted
        try:
            model = await self._resolve(queue, name)
            if queue not in self._needs:
                self._needs[queue] = await asyncio.to_thread(estimate, self._settings, self._store, model)
            need = self._needs[queue]
        except PunaError as error:
            if error.status >= 500:
                raise  # the catalog is away
            if not serving and await self._take_up(wanted):
                self._took(queue, name, self._roster.refuse(queue, name, error), _REFUSED_S)
            return _LOOK_S
        rules, residency = self._fleet.residency.rules, self._fleet.residency
        if serving and not residency.room(need.size):
            return _LOOK_S  # it would help one model at the cost of another
        unfit = rules.budget and need.size > rules.budget
        patience = _UNFIT_S if unfit else 0.0 if residency.room(need.size) else _EVICTING_S
        left = self._seen.setdefault(queue, time.monotonic()) + patience - time.monotonic()
        if left > 0:
            return left
        if await self._take_up(wanted):
            self._took(queue, name, self._roster.serve(model, need), _REFUSED_S if unfit else _LEFT_S)
        return _LOOK_S

    async def _resolve(self, queue: str, name: str) -> CatalogModel:
        """The model of a queue. Raises ModelUnavailable for a name that means another one by now."""
        model = await self._catalog.resolve(name)
        if model.queue != queue:
            self._catalog.forget()
            model = await self._catalog.resolve(name)
        if model.queue != queue:
            raise ModelUnavailable(f"the model '{name}' has changed since it was asked for; ask again", param="model")
        return model

    async def _take_up(self, wanted: "_Wanted") -> bool:
        life_ms = math.ceil(self._settings.lease_s * 1000)
        key = keys.serving(wanted.queue)
        return bool(await self._scripts.run("take_up", [key], [self._name, life_ms, wanted.serving]))

    def _took(self, queue: str, name: str, member: Member, left_s: float) -> None:
        log.info("%s is served from now on, from queue %s", name, queue)
        self._seen.pop(queue, None)
        self._taken[queue] = _Taken(name, member, left_s)

    async def _leave(self) -> None:
        """Retire those that have not been wanted for long enough."""
        now = time.monotonic()
        for queue, taken in list(self._taken.items()):
            if queue not in self._roster:
                del self._taken[queue]
            elif not self._fleet.residency.unused(queue):
                taken.used_at = now
            elif now - taken.used_at > taken.left_s and not taken.left:
                log.info("%s is not served any more", taken.name)
                taken.left = True
                await self._redis.zrem(keys.serving(queue), self._name)  # which may be younger than a life of it
                self._roster.retire(queue)


class _Wanted(NamedTuple):
    """A queue that should be taken up, with a name of its model, and how many serve it."""

    queue: str
    name: str
    serving: int


class _Taken:
    """A queue that was taken up by a `name` of its model."""

    def __init__(self, name: str, member: Member, left_s: float) -> None:
        self.name = name
        self.member = member
        self.left_s = left_s
        self.used_at = time.monotonic()
        self.left = False


def _split(member: bytes) -> tuple[str, str]:
    queue, _, name = member.decode().partition(" ")
    return queue, name
