"""A fleet with engines that only record: what it starts and stops, and what it does when that fails."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from shared.errors import ModelUnavailable
from shared.frames import Event
from worker import fleet as fleets
from worker.fleet import Fleet
from worker.member import Make, OnBytes, OnState
from worker.residency import Rules
from worker.runtime.engine import EngineState


class FakeEngine:
    """Becomes ready when it is told to."""

    slots = 4
    fingerprint = "fp_0"

    def __init__(self, on_state: OnState) -> None:
        self._on_state = on_state
        self.state = EngineState.STOPPED
        self.ends = asyncio.Event()
        self.ends.set()

    def become(self, state: EngineState) -> None:
        self.state = state
        self._on_state(state)

    async def start(self) -> None:
        self.become(EngineState.LOADING)

    async def ready(self, timeout_s: float) -> None: ...

    async def stop(self) -> None:
        self.become(EngineState.STOPPED)
        await self.ends.wait()

    async def run(self, kind: str, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
        yield []


def making(engines: list[FakeEngine], *, fails: list[Exception] | None = None) -> Make:
    async def make(on_state: OnState, on_bytes: OnBytes) -> FakeEngine:
        if fails:
            raise fails.pop()
        engines.append(FakeEngine(on_state))
        return engines[-1]

    return make


def fleet_of(budget: int) -> Fleet:
    return Fleet(Rules(budget, keep_s=-1, residence_s=0, patience_s=60, settle_s=0))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_room_is_free_only_when_the_engine_is_gone() -> None:
    fleet, engines = fleet_of(1), list[FakeEngine]()
    first, second = (fleet.add(name, name, 1, 4, making(engines)) for name in ("first", "second"))
    await first.start()
    engines[0].become(EngineState.READY)
    assert first.open()
    engines[0].ends.clear()
    second.waits(True)
    await settle()
    assert (first.open(), engines[0].state, len(engines)) == (False, EngineState.STOPPED, 1)
    engines[0].ends.set()
    await settle()
    assert (first.engine, second.engine) == (None, engines[1])
    assert second.open(), "jobs are taken while it loads"
    assert second.record()["models"][0]["state"] == "loading"
    await fleet.close()
    assert engines[1].state is EngineState.STOPPED


async def test_what_is_held_is_not_stopped() -> None:
    fleet, engines = fleet_of(1), list[FakeEngine]()
    first, second = (fleet.add(name, name, 1, 4, making(engines)) for name in ("first", "second"))
    await first.start()
    engines[0].become(EngineState.READY)
    first.hold()
    second.waits(True)
    await settle()
    assert first.open()
    first.release()
    await settle()
    assert second.engine is not None
    await fleet.close()


async def test_a_load_that_fails_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "TROUBLE_S", 0.01)
    fleet, engines = fleet_of(1), list[FakeEngine]()
    told: list[bool] = []
    member = fleet.add("a", "a", 1, 4, making(engines, fails=[ModelUnavailable("not in the catalog")]))
    member.changed = lambda: told.append(member.open())
    member.waits(True)
    await settle()
    assert told == [False, True], "none while it loads; then its jobs are taken, to fail"
    with pytest.raises(ModelUnavailable, match="not in the catalog"):
        await member.ready(1)
    while member.engine is None:
        await asyncio.sleep(0.005)
    assert len(engines) == 1
    await fleet.close()


async def test_a_download_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, engines, there = fleet_of(1), list[FakeEngine](), asyncio.Event()

    async def make(on_state: OnState, on_bytes: OnBytes) -> FakeEngine:
        await asyncio.to_thread(on_bytes, 2_000_000_000, 5_000_000_000)
        await there.wait()
        return await making(engines)(on_state, on_bytes)

    member = fleet.add("a", "a", 1, 4, make, context=64)
    told: list[str] = []
    member.changed = lambda: told.append(member.record()["doing"])
    member.waits(True)
    while len(told) < 2:
        await asyncio.sleep(0.005)
    there.set()
    await settle()
    engines[0].become(EngineState.READY)
    assert told == ["loading", "downloading, 40 % of 5.0 GB", "loading", ""]
    assert member.record()["context"] == 64


async def test_the_first_models_failure_is_its_callers() -> None:
    fleet = fleet_of(1)
    member = fleet.add("a", "a", 1, 4, making([], fails=[ModelUnavailable("not in the catalog")]))
    with pytest.raises(ModelUnavailable):
        await member.start()
    assert fleet.residency.residents == {}


async def test_a_broken_engine_makes_room() -> None:
    fleet, engines = fleet_of(1), list[FakeEngine]()
    first, second = (fleet.add(name, name, 1, 4, making(engines)) for name in ("first", "second"))
    await first.start()
    engines[0].become(EngineState.BACKOFF)
    second.waits(True)
    await settle()
    assert second.engine is not None
    await fleet.close()
