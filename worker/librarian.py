"""Work on the catalog as jobs of a queue: whoever asked may be gone, and another worker goes on when this one dies."""

import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from shared.catalog.store import Store
from shared.errors import InvalidRequest
from shared.frames import Done, Event, Step
from shared.steps import Tell, steps
from worker.runtime.engine import EngineState

Task: TypeAlias = Callable[[Store, Mapping[str, Any], Tell, threading.Event], None]
"""(store, request, tell, stop): see `shared.steps.Work`."""


class Librarian:
    """An `Engine` that has no model: its kinds are tasks of the catalog."""

    slots = 2
    """At once: more would share the same line, and each takes memory for its parts."""

    def __init__(self, store: Store, tasks: Mapping[str, Task]) -> None:
        self._store = store
        self._tasks = tasks

    @property
    def state(self) -> EngineState:
        return EngineState.READY

    @property
    def fingerprint(self) -> str:
        return "catalog"

    async def start(self) -> None:
        """Nothing to start."""

    async def ready(self, timeout_s: float) -> None:
        """It always is."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def run(self, kind: str, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
        """The steps of a task, then Done. Raises what the task does, InvalidRequest for a kind that is none."""
        task = self._tasks.get(kind)
        if task is None:
            raise InvalidRequest(f"the catalog knows no '{kind}'")
        made = steps(partial(task, self._store, request))
        try:
            async for batch in made:
                yield [Step(**step) for step in batch]
        finally:
            await made.aclose()
        yield [Done(0, 0)]
