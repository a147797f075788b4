"""What is loaded and what goes, on a virtual clock: no engine, no thread, no sleep."""

from collections.abc import Mapping

import pytest

from worker.residency import Action, Evict, Load, Residency, Rules, State


def rules(
    budget: int, keep_s: float = 300, residence_s: float = 5, patience_s: float = 30, settle_s: float = 0
) -> Rules:
    return Rules(budget, keep_s, residence_s, patience_s, settle_s)


class World:
    """A recording fake of what surrounds a residency: loads take `load_s`, a stop is done at once."""

    def __init__(self, limits: Rules | None = None, sizes: Mapping[str, int] | None = None, load_s: float = 1) -> None:
        self.now = 0.0
        self.machine = Residency(limits or rules(2), sizes or {"a": 1, "b": 1, "c": 1})
        self.log: list[Action] = []
        self._load_s = load_s
        self._loading: dict[str, float] = {}

    def wait(self, queue: str) -> None:
        self.machine.waits(queue, self.now, some=True)
        self.look()

    def take(self, queue: str) -> None:
        """A consumer takes all that waits, as one job."""
        assert self.machine.takes(queue)
        self.machine.hold(queue)
        self.machine.waits(queue, self.now, some=False)

    def end(self, queue: str, keep_s: float | None = None) -> None:
        self.machine.used(queue, self.now, keep_s)
        self.machine.release(queue)
        self.look()

    def work(self, queue: str, keep_s: float | None = None) -> None:
        """One job, from its wait to its end, of a model that is loaded or becomes so."""
        self.wait(queue)
        while not self.machine.takes(queue):
            self.step()
        self.take(queue)
        self.until(lambda: self.state(queue) is State.READY)
        self.end(queue, keep_s)

    def look(self) -> None:
        for action in self.machine.decide(self.now):
            self.log.append(action)
            if isinstance(action, Load):
                self._loading[action.queue] = self.now + self._load_s
            else:
                assert self.machine.running(action.queue) == 0, "a model with a job must not be evicted"
                self.machine.gone(action.queue)
                self.look()

    def step(self) -> None:
        """To the next moment at which anything can happen."""
        moments = [*self._loading.values()]
        if (at := self.machine.next_at(self.now)) is not None:
            moments.append(at)
        assert moments, "nothing will ever happen"
        self.to(min(moments))

    def to(self, now: float) -> None:
        self.now = now
        for queue, at in list(self._loading.items()):
            if at <= now:
                del self._loading[queue]
                self.machine.ready(queue, now)
        self.look()

    def advance(self, now: float) -> None:
        """To a time, with all that happens until then."""
        while True:
            at = self.machine.next_at(self.now)
            moments = [each for each in (*self._loading.values(), at) if each is not None and each <= now]
            if not moments:
                break
            self.to(min(moments))
        self.to(now)

    def until(self, true) -> None:  # type: ignore[no-untyped-def]
        while not true():
            self.step()

    def state(self, queue: str) -> State | None:
        resident = self.machine.residents.get(queue)
        return resident.state if resident else None

    @property
    def loaded(self) -> set[str]:
        return set(self.machine.residents)

    @property
    def loads(self) -> int:
        return sum(isinstance(action, Load) for action in self.log)


def test_what_waits_is_loaded_while_it_fits_and_jobs_are_taken_while_it_loads() -> None:
    world = World()
    world.wait("a")
    world.wait("b")
    assert world.log == [Load("a"), Load("b")]
    assert (world.machine.takes("a"), world.state("a")) == (True, State.LOADING)
    assert not world.machine.takes("c")


def test_only_the_idle_go_and_the_shortest_remaining_goes_first() -> None:
    world = World()
    world.work("a", keep_s=1000)
    world.work("b", keep_s=20)
    world.advance(10)
    world.wait("c")
    assert world.log[-2:] == [Evict("b"), Load("c")]
    world = World()
    world.work("a", keep_s=1000)
    world.work("b", keep_s=20)
    world.advance(10)
    world.wait("b")
    world.take("b")
    world.wait("c")
    assert world.log[-2:] == [Evict("a"), Load("c")], "b has the shorter time, and a job"


def test_one_that_is_told_to_go_goes_once_it_is_not_needed() -> None:
    world = World()
    world.work("a", keep_s=-1)
    world.machine.expire("a")
    world.look()
    assert world.log[-1] == Evict("a")
    world.work("a", keep_s=-1)
    world.wait("a")
    world.take("a")
    world.machine.expire("a")
    world.look()
    assert world.state("a") is State.READY, "it has a job"
    world.end("a")
    assert world.log[-1] == Evict("a")
    world.wait("a")
    world.take("a")
    world.machine.expire("a")
    world.until(lambda: world.state("a") is State.READY)
    world.end("a")
    assert world.log[-1] == Evict("a"), "it was being loaded"
    world.machine.expire("a")
    world.look()
    world.work("a")
    world.advance(world.now + 200)
    assert world.loaded == {"a"}, "it was not there: the next load is as any other"


def test_kept_for_ever_goes_last_but_goes() -> None:
    world = World()
    world.work("a", keep_s=-1)
    world.work("b")
    world.advance(100)
    world.wait("c")
    assert world.loaded == {"a", "c"}
    world.take("c")
    world.until(lambda: world.state("c") is State.READY)
    world.wait("b")
    assert world.loaded == {"b", "c"}, "the other one is busy"


@pytest.mark.parametrize(("keep_s", "gone_after"), [(0, 0), (20, 20), (None, 300), (-1, None)])
def test_a_model_is_kept_after_its_last_use_as_the_request_says(keep_s: float | None, gone_after: float | None) -> None:
    world = World()
    world.work("a", keep_s=keep_s)
    ended = world.now
    if gone_after is None:
        assert world.machine.next_at(world.now) is None
        world.advance(1e9)
        assert world.loaded == {"a"}
    else:
        if gone_after:
            assert world.loaded == {"a"}
            assert world.machine.next_at(world.now) == ended + gone_after
            world.step()
        assert (world.log[-1], world.now) == (Evict("a"), ended + gone_after)


def test_a_request_that_asks_for_no_time_leaves_the_one_before_it() -> None:
    world = World()
    world.work("a", keep_s=-1)
    world.work("a")
    world.advance(1e9)
    assert world.loaded == {"a"}


def test_a_keep_alive_of_nothing_waits_for_the_others_jobs() -> None:
    world = World()
    world.wait("a")
    world.take("a")
    world.until(lambda: world.state("a") is State.READY)
    world.wait("a")
    world.take("a")
    world.end("a", keep_s=0)
    assert world.loaded == {"a"}, "another job runs"
    world.machine.waits("a", world.now, some=True)
    world.end("a", keep_s=0)
    assert world.loaded == {"a"}, "another job waits"
    world.take("a")
    world.end("a", keep_s=0)
    assert world.loaded == set()


def test_a_model_that_was_just_loaded_is_not_pushed_out_between_two_jobs() -> None:
    world = World(rules(1, patience_s=30))
    world.work("a")
    world.wait("b")
    assert world.log == [Load("a")], "more for it may be on its way"
    world.step()
    assert world.log == [Load("a"), Evict("a"), Load("b")], "it had nothing to do"
    assert world.now == pytest.approx(1 + 0.5)


def test_two_that_do_not_fit_together_take_turns_in_batches() -> None:
    """Two callers, each with one request after another: without a residence, every request would be a load."""
    world = World(rules(1, patience_s=10), load_s=1)
    served = {"a": 0, "b": 0}
    busy: dict[str, float] = {}
    longest, waiting = 0.0, {"a": 0.0, "b": 0.0}
    world.wait("a")
    world.wait("b")
    while world.now < 100:
        for queue in ("a", "b"):
            if queue in busy and busy[queue] <= world.now:
                del busy[queue]
                served[queue] += 1
                world.end(queue)
                waiting[queue] = world.now
                world.machine.waits(queue, world.now, some=True)
            if queue in waiting and world.state(queue) is State.READY and world.machine.takes(queue):
                longest = max(longest, world.now - waiting.pop(queue))
                world.take(queue)
                busy[queue] = world.now + 0.1
        world.to(world.now + 0.05)
    assert world.loads <= 100 / 10 + 2, "a turn is as long as the other one's patience"
    assert min(served.values()) > 250
    assert longest <= 10 + 1 + 0.3, "patience, a load, and the job that still ran"


def test_jobs_that_come_together_are_seen_together() -> None:
    world = World(rules(2, settle_s=0.1))
    world.work("a")
    world.work("b")
    world.advance(100)
    world.wait("c")
    assert world.loaded == {"a", "b"}
    world.machine.waits("a", world.now, some=True)
    world.advance(100.1)
    assert world.loaded == {"a", "c"}, "b has nothing to do, though a would have been the first to go"


def test_a_model_stays_at_least_as_long_as_its_load_took() -> None:
    world = World(rules(1, 300, 5, 0), load_s=20)
    world.wait("a")
    world.take("a")
    world.wait("b")
    world.advance(39.9)
    assert world.machine.takes("a")
    world.advance(40)
    assert not world.machine.takes("a")


def test_busy_ones_stop_taking_jobs_when_another_has_waited_for_long_enough() -> None:
    world = World()
    for queue in ("a", "b"):
        world.wait(queue)
        world.take(queue)
    world.advance(2)
    world.wait("c")
    assert world.machine.takes("a")
    assert world.machine.takes("b")
    world.advance(31.9)
    assert world.machine.takes("a")
    world.advance(32)
    assert not world.machine.takes("a"), "it was loaded first"
    assert world.machine.takes("b")
    assert world.loaded == {"a", "b"}, "its job is not killed"
    world.machine.waits("a", world.now, some=True)
    world.end("a")
    assert world.log[-2:] == [Evict("a"), Load("c")]
    assert world.machine._waiting["a"] == 32, "its own jobs wait from now"


def test_a_yielding_model_goes_on_when_the_other_job_is_gone() -> None:
    world = World()
    for queue in ("a", "b"):
        world.wait(queue)
        world.take(queue)
    world.wait("c")
    world.advance(40)
    assert not world.machine.takes("a")
    world.machine.waits("c", world.now, some=False)
    world.look()
    assert world.machine.takes("a")


def test_a_large_one_gets_the_room_of_several_and_no_more() -> None:
    world = World(rules(5, 300, 5, 30), {"a": 1, "b": 2, "c": 2, "big": 4})
    for queue in ("a", "b", "c"):
        world.work(queue)
    world.advance(20)
    world.wait("big")
    assert world.loaded == {"a", "big"}, "a was the first to go, and is not needed"


def test_nothing_is_evicted_when_that_would_not_be_enough() -> None:
    world = World(rules(4, 300, 5, 30), {"a": 2, "b": 2, "big": 4, "c": 2})
    world.work("a")
    world.wait("b")
    world.take("b")
    world.advance(10)
    world.wait("big")
    assert world.loaded == {"a", "b"}


def test_a_small_one_does_not_take_the_room_that_is_being_made() -> None:
    world = World(rules(4, 300, 5, 30), {"a": 3, "b": 1, "big": 4, "small": 1})
    world.work("a")
    world.wait("b")
    world.take("b")
    world.advance(2)
    world.wait("big")
    world.advance(32)
    assert not world.machine.takes("b"), "it makes room"
    assert world.loaded == {"b", "a"} or world.loaded == {"b"}
    world.wait("small")
    assert "small" not in world.loaded
    world.end("b")
    assert "big" in world.loaded


def test_a_model_that_is_stopping_takes_memory_until_it_is_gone() -> None:
    machine = Residency(rules(1, 0, 5, 30), {"a": 1, "b": 1})
    machine.load("a", 0)
    machine.ready("a", 1)
    machine.waits("b", 1, some=True)
    assert machine.decide(1) == [Evict("a")]
    assert machine.decide(2) == []
    machine.gone("a")
    assert machine.decide(3) == [Load("b")]


def test_what_can_never_fit_is_not_loaded() -> None:
    world = World(sizes={"a": 3, "b": 1})
    assert not world.machine.fits("a")
    world.wait("a")
    assert world.log == []
    world.work("b")
    assert world.loaded == {"b"}


def test_a_budget_of_nothing_is_no_bound() -> None:
    world = World(rules(0, 300, 5, 30), {"a": 10**15, "b": 10**15})
    world.wait("a")
    world.wait("b")
    assert world.loaded == {"a", "b"}


def test_a_broken_engine_makes_room_though_its_jobs_wait() -> None:
    world = World(rules(1, -1, 5, 30))
    world.work("a")
    world.machine.broken("a")
    world.wait("a")
    world.wait("b")
    assert world.loaded == {"b"}


def test_what_is_barred_is_left_alone_until_it_is_not() -> None:
    world = World()
    world.machine.bar("a", barred=True)
    world.wait("a")
    assert world.log == []
    world.machine.bar("a", barred=False)
    world.look()
    assert world.log == [Load("a")]
