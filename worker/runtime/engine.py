"""What the worker knows of an engine: a state, a fingerprint, and a stream of events per request."""

from collections.abc import AsyncGenerator, Mapping
from enum import Enum
from typing import Any, Protocol

from shared.frames import Event


class EngineState(Enum):
    """Life of an engine child, as its supervisor sees it."""

    STOPPED = "stopped"
    """Not started, or stopped on request. Leaves to STARTING by `start`."""
    LOADING = "loading"
    """The process runs and loads its model. Leaves to READY, BACKOFF or STOPPED."""
    READY = "ready"
    """Healthy: takes requests. Leaves to BACKOFF when it dies, or to STOPPED."""
    BACKOFF = "backoff"
    """It died or never became healthy; it is started again after a pause. Leaves to LOADING or STOPPED."""


class Engine(Protocol):
    """One loaded model, reached over HTTP on loopback."""

    slots: int
    """Requests it runs at once."""

    @property
    def state(self) -> EngineState: ...

    @property
    def fingerprint(self) -> str:
        """`fp_` and 10 hex digits; changes with weights, engine and options."""
        ...

    async def start(self) -> None:
        """Begin to supervise a child. Returns at once; `ready` waits for the model."""
        ...

    async def ready(self, timeout_s: float) -> None:
        """Wait for READY. Raises EngineFailed after `timeout_s` seconds, or when the engine is stopped."""
        ...

    async def stop(self) -> None:
        """Stop the child: SIGTERM, a pause, SIGKILL. Returns when it is gone."""
        ...

    def run(self, kind: str, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
        """Run one request (`JobSpec.kind` and `.request`) and give its events in batches, one per network read.

        Events are Progress, output (Delta, Thought, ToolDelta, Vectors), Finish and one final Done. Closing the
        generator aborts the generation. Raises InvalidRequest when the engine refuses the request, EngineFailed when
        it dies or is not understood. Silence is the caller's to bound.
        """
        ...
