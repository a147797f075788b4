"""When a consumer may take jobs for its engine, and what it says of that: a model may be loaded now, or not."""

from typing import Any, Protocol

from worker.runtime.engine import Engine, EngineState


class Gate(Protocol):
    """Between a consumer and whoever loads its engine. Nothing here blocks."""

    def open(self) -> bool:
        """Whether jobs may be taken."""
        ...

    def waits(self, some: bool) -> None:
        """Told whether jobs wait in the queue that are not taken."""
        ...

    def hold(self) -> None:
        """The engine is needed from now on: for a job, or for one that is just being taken."""
        ...

    def release(self) -> None:
        """The end of what `hold` began."""
        ...

    def used(self, keep_s: float | None) -> None:
        """A job ended that asks to keep the model for so long (s), None for no change; before its `release`."""
        ...

    def expire(self) -> None:
        """The model is to go once nothing runs or waits for it."""
        ...

    def resting(self) -> bool:
        """Whether the model is not loaded because there is nothing to do for it."""
        ...

    def record(self) -> dict[str, Any]:
        """What the worker says of what it has loaded, besides its own words."""
        ...


class AlwaysLoaded:
    """The gate of an engine that somebody else starts and stops."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self) -> bool:
        """See `Gate.open`; the same for what follows."""
        return self._engine.state in (EngineState.READY, EngineState.LOADING)

    def waits(self, some: bool) -> None: ...

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def used(self, keep_s: float | None) -> None: ...

    def expire(self) -> None: ...

    def resting(self) -> bool:
        return False

    def record(self) -> dict[str, Any]:
        return {}
