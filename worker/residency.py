"""Which models are loaded, within a budget of bytes: every decision and no effect. Time is told, in seconds.

    from        event                                              to
    (absent)    `decide`: jobs wait, and it fits                   LOADING
    LOADING     `ready`                                            READY
    LOADING     `broken`: the engine died                          BROKEN
    READY       `broken`                                           BROKEN
    BROKEN      `ready`                                            READY
    READY       `decide`: idle, and too long or in another's way   STOPPING
    BROKEN      `decide`: the same                                 STOPPING
    any         `gone`                                             (absent)

A model with a job in its hands is never evicted. One that is in the way of a job that has waited long enough takes no
more jobs (`yielding`) until it has none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import TypeAlias

IDLE_SHARE = 0.1
"""A model that has had nothing to do for this share of its minimum residence has done what it was loaded for."""


class State(Enum):
    """Life of a resident; see the module."""

    LOADING = "loading"
    READY = "ready"
    BROKEN = "broken"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Rules:
    """`budget` is in bytes, 0 for no bound; times are seconds.

    A model stays at least `residence_s`, and as long as its load took, while there is work for it, and `keep_s` after
    its last use (negative: for ever). A job that has waited for `patience_s` is let in. Nobody is evicted for a job
    younger than `settle_s`: of jobs that come together, the first must not push out what the second needs.
    """

    budget: int
    keep_s: float
    residence_s: float
    patience_s: float
    settle_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Load:
    queue: str


@dataclass(frozen=True, slots=True)
class Evict:
    queue: str


Action: TypeAlias = Load | Evict


@dataclass(slots=True, eq=False)
class Resident:
    """A model that takes memory: `size` bytes. `since` is when it was loaded, which took `load_s`; `keep_s` is what its
    last use asked for."""

    queue: str
    size: int
    keep_s: float
    since: float
    used_at: float
    state: State = State.LOADING
    load_s: float = 0.0
    yielding: bool = False

    @property
    def until(self) -> float:
        """When it is unloaded unless it is used again."""
        return inf if self.keep_s < 0 else self.used_at + self.keep_s


class Residency:
    """The state machine. `sizes` are the bytes that each queue's model takes."""

    def __init__(self, rules: Rules, sizes: Mapping[str, int]) -> None:
        self.rules = rules
        self.sizes = dict(sizes)
        self.residents: dict[str, Resident] = {}
        self._waiting: dict[str, float] = {}
        """Queues with jobs that nobody has taken, and since when."""
        self._running: Counter[str] = Counter()
        self._barred: set[str] = set()

    # What has happened

    def waits(self, queue: str, now: float, *, some: bool) -> None:
        """Whether jobs wait in a queue."""
        if some:
            self._waiting.setdefault(queue, now)
        else:
            self._waiting.pop(queue, None)

    def hold(self, queue: str) -> None:
        """A job begins, or is about to be taken."""
        self._running[queue] += 1

    def release(self, queue: str) -> None:
        """The end of what `hold` began."""
        self._running[queue] -= 1

    def used(self, queue: str, now: float, keep_s: float | None) -> None:
        """A job has ended; what it asks for decides how long the model is kept, None changes nothing."""
        if resident := self.residents.get(queue):
            resident.used_at = now
            resident.keep_s = resident.keep_s if keep_s is None else keep_s

    def expire(self, queue: str) -> None:
        """It is to go once nothing runs or waits for it."""
        if resident := self.residents.get(queue):
            resident.keep_s = 0.0

    def ready(self, queue: str, now: float) -> None:
        """It is loaded."""
        resident = self.residents[queue]
        if resident.state is not State.STOPPING:
            if resident.state is State.LOADING:
                resident.load_s = now - resident.since
            resident.state, resident.since = State.READY, now
            resident.used_at = max(resident.used_at, now)

    def broken(self, queue: str) -> None:
        """Its engine died; it may come back."""
        if self.residents[queue].state is not State.STOPPING:
            self.residents[queue].state = State.BROKEN

    def gone(self, queue: str) -> None:
        """It takes no memory any more."""
        del self.residents[queue]

    def forget(self, queue: str) -> None:
        """It is not served any more. It must not be loaded."""
        del self.sizes[queue]
        self._waiting.pop(queue, None)
        self._running.pop(queue, None)
        self._barred.discard(queue)

    def bar(self, queue: str, *, barred: bool) -> None:
        """Whether to leave it unloaded for now, whatever waits."""
        (self._barred.add if barred else self._barred.discard)(queue)

    # What follows from it

    def fits(self, queue: str) -> bool:
        """Whether it could be loaded with nothing else loaded."""
        return not self.rules.budget or self.sizes[queue] <= self.rules.budget

    def room(self, size: int) -> bool:
        """Whether so many bytes could be loaded with nothing unloaded."""
        return size <= self._free()

    def unused(self, queue: str) -> bool:
        """Whether it takes no memory, and nobody wants it to."""
        return queue not in self.residents and queue not in self._waiting and not self._running[queue]

    def running(self, queue: str) -> int:
        """What holds it."""
        return self._running[queue]

    def takes(self, queue: str) -> bool:
        """Whether jobs may be taken for it now."""
        resident = self.residents.get(queue)
        return resident is not None and resident.state is not State.STOPPING and not resident.yielding

    def load(self, queue: str, now: float) -> Load:
        """Load it, whether or not jobs wait. It must fit."""
        self.residents[queue] = Resident(queue, self.sizes[queue], self.rules.keep_s, now, now)
        return Load(queue)

    def decide(self, now: float) -> list[Action]:
        """What to do now. The state is changed as if it was being done; `gone` and `ready` tell of its end."""
        actions: list[Action] = [self._evict(each, now) for each in self._expired(now)]
        for each in self.residents.values():
            each.yielding = False
        for queue, since in self._demand():
            missing = self.sizes[queue] - self._free()
            urgent = now >= since + self.rules.patience_s
            if missing <= 0:
                actions.append(self.load(queue, now))
                continue
            missing -= sum(each.size for each in self.residents.values() if each.state is State.STOPPING)
            settled = now >= since + self.rules.settle_s
            victims = self._victims(missing, now, urgent=urgent) if settled and missing > 0 else []
            for each in victims:
                if self._running[each.queue]:
                    each.yielding = True
                else:
                    actions.append(self._evict(each, now))
            if missing <= 0 or victims or urgent:
                break  # What becomes free is for this one: others that are smaller would keep it out.
        return actions

    def next_at(self, now: float) -> float | None:
        """When time alone may change what `decide` says; None for never."""
        moments = [each.until for each in self.residents.values() if each.until < inf]
        if demand := self._demand():
            for _, since in demand:
                moments += [since + self.rules.settle_s, since + self.rules.patience_s]
            for each in self.residents.values():
                moments += [self._resided_at(each), self._done_at(each)]
        return min((moment for moment in moments if moment > now), default=None)

    # Choosing

    def _demand(self) -> list[tuple[str, float]]:
        """Queues whose jobs wait for a load, oldest first."""
        held_up = self._barred | self.residents.keys()
        waiting = [(queue, since) for queue, since in self._waiting.items() if queue not in held_up]
        return sorted((item for item in waiting if self.fits(item[0])), key=lambda item: item[1])

    def _free(self) -> float:
        return (self.rules.budget or inf) - sum(each.size for each in self.residents.values())

    def _expired(self, now: float) -> list[Resident]:
        return [each for each in self.residents.values() if self._unused(each) and each.until <= now]

    def _unused(self, each: Resident) -> bool:
        if self._running[each.queue] or each.state not in (State.READY, State.BROKEN):
            return False
        return each.state is State.BROKEN or each.queue not in self._waiting

    def _idle(self, each: Resident, now: float) -> bool:
        """Whether it may go at once: it has done its batch."""
        return self._unused(each) and (each.state is State.BROKEN or now >= self._done_at(each))

    def _resided_at(self, each: Resident) -> float:
        return each.since + max(self.rules.residence_s, each.load_s)

    def _done_at(self, each: Resident) -> float:
        return each.used_at + IDLE_SHARE * self.rules.residence_s

    def _victims(self, missing: float, now: float, *, urgent: bool) -> Sequence[Resident]:
        """Who must go for `missing` bytes; nobody unless that is enough. Only for an urgent job those who are busy."""
        idle = [each for each in self.residents.values() if self._idle(each, now)]
        idle.sort(key=lambda each: (each.until, each.used_at))
        found = _enough(idle, missing)
        if found or not urgent:
            return found
        others = (each for each in self.residents.values() if each.state is State.READY and each not in idle)
        rest = [each for each in others if now >= self._resided_at(each)]
        rest.sort(key=lambda each: each.since)
        return _enough([*idle, *rest], missing)

    def _evict(self, each: Resident, now: float) -> Evict:
        each.state = State.STOPPING
        if self._waiting.pop(each.queue, None) is not None:
            self._waiting[each.queue] = now  # It has had its turn: behind all others, its jobs wait from now.
        return Evict(each.queue)


def _enough(candidates: Iterable[Resident], missing: float) -> list[Resident]:
    """The first ones that free so much together, without those that are not needed for it; none if all are too few."""
    taken: list[Resident] = []
    freed = 0
    for each in candidates:
        if freed >= missing:
            break
        taken.append(each)
        freed += each.size
    if freed < missing:
        return []
    for each in reversed(list(taken)):
        if freed - each.size >= missing:
            taken.remove(each)
            freed -= each.size
    return taken
